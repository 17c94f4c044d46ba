"""The large products of a compiled program, computed by oneDNN."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch._inductor.custom_graph_pass import CustomGraphPass  # programs with any other pass are not cached

from vae_exp.network.linear import by_onednn, is_large

# our own operator, because the compiler applies its rules for oneDNN only to constant weights;
# torch.library.custom_op would take 10 µs longer per call
LIBRARY = torch.library.Library("vae_exp", "DEF")
LIBRARY.define("product(Tensor a, Tensor b, Tensor? bias=None) -> Tensor")
LIBRARY.impl("product", lambda a, b, bias=None: by_onednn(a, b.t(), bias), "CPU")
torch.library.register_fake("vae_exp::product", lambda a, b, bias=None: a.new_empty(a.shape[0], b.shape[1]))
product: Callable[..., Tensor] = torch.ops.vae_exp.product.default


class TakeLargeProducts(CustomGraphPass):
    """Replace the large products of a program by oneDNN's, after torch.compile has differentiated the program.

    So oneDNN's operator needs no derivative. (With an autograd.Function, which has one, the gradients were zero in
    PyTorch 2.14.)
    """

    def __call__(self, graph: torch.fx.Graph) -> None:
        """Replace the products a b and a b + bias of large float32 matrices on the CPU."""
        aten: Any = torch.ops.aten
        for node in graph.find_nodes(op="call_function", target=aten.mm.default):
            self._replace(node, *node.args)
        for node in graph.find_nodes(op="call_function", target=aten.addmm.default):
            bias, a, b = node.args
            if not node.kwargs and bias.meta["val"].ndim == 1:  # one bias for all rows, and no factors α and β
                self._replace(node, a, b, bias)

    def uuid(self) -> bytes:
        """Identify this pass in the compiler's cache."""
        return hashlib.sha256(Path(__file__).read_bytes()).digest()

    def _replace(self, node: torch.fx.Node, *arguments: torch.fx.Node) -> None:
        a, b, *_ = values = [argument.meta["val"] for argument in arguments]
        float32_on_cpu = all(value.device.type == "cpu" and value.dtype is torch.float32 for value in values)
        if float32_on_cpu and is_large(a, b.t()):
            node.target, node.args = product, arguments
