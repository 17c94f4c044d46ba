"""The matrix products of a compiled program: by the faster library, and in the order in which they are used."""

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


class TurnProducts(CustomGraphPass):
    """Compute the transposes (a b)ᵀ of batched products as bᵀ aᵀ.

    The derivative of M stacked linear layers computes the gradients of their weights so. Nothing then has to read them
    against the order in which they lie in memory.
    """

    def __call__(self, graph: torch.fx.Graph) -> None:
        """Replace the transposes of batched products that are used nowhere else."""
        aten: Any = torch.ops.aten
        for node in graph.find_nodes(op="call_function", target=aten.permute.default):
            before, order = node.args
            if before.target is aten.bmm.default and list(order) == [0, 2, 1] and len(before.users) == 1:
                with graph.inserting_before(node):
                    a, b = (_call(graph, aten.permute.default, each, [0, 2, 1]) for each in before.args)
                    node.replace_all_uses_with(_call(graph, aten.bmm.default, b, a))
                graph.erase_node(node)
                graph.erase_node(before)

    def uuid(self) -> bytes:
        """Identify this pass in the compiler's cache."""
        return _uuid()


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
        return _uuid()

    def _replace(self, node: torch.fx.Node, *arguments: torch.fx.Node) -> None:
        a, b, *_ = values = [argument.meta["val"] for argument in arguments]
        float32_on_cpu = all(value.device.type == "cpu" and value.dtype is torch.float32 for value in values)
        if float32_on_cpu and is_large(a, b.t()):
            node.target, node.args = product, arguments


def _call(graph: torch.fx.Graph, function: Callable[..., Any], *arguments: Any) -> torch.fx.Node:
    """Add a call to a graph, with the shape of its result."""
    node = graph.call_function(function, arguments)
    values = [each.meta["val"] if isinstance(each, torch.fx.Node) else each for each in arguments]
    node.meta["val"] = function(*values)
    return node


def _uuid() -> bytes:
    return hashlib.sha256(Path(__file__).read_bytes()).digest()
