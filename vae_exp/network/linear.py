"""A linear layer that takes the faster matrix product where there is one."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_fast = False


@contextmanager
def fast_linear(enabled: bool) -> Iterator[None]:
    """Let `Linear` layers on the CPU take their products from oneDNN, in float32 and within its rounding.

    Most CPU builds of PyTorch send these products to MKL, which is slower on some processors. Gradients can be taken
    once only: a Jacobian penalty needs the framework's own layer, which is the default outside this context.
    """
    global _fast
    before, _fast = _fast, enabled and torch.backends.mkldnn.is_available()
    try:
        yield
    finally:
        _fast = before


class Linear(nn.Linear):
    """y = x Wᵀ + b, as torch.nn.Linear; inside `fast_linear` by oneDNN."""

    def forward(self, x: Tensor) -> Tensor:
        """(…, in_features) to (…, out_features)."""
        if _fast and x.dtype is torch.float32 and x.device.type == "cpu" and not torch.is_autocast_enabled("cpu"):
            y: Tensor = OneDNNLinear.apply(x, self.weight, self.bias)
            return y
        return F.linear(x, self.weight, self.bias)


class OneDNNLinear(torch.autograd.Function):
    """y = x Wᵀ + b; ∂x = ∂y W, ∂W = ∂yᵀ x, ∂b = Σ ∂y: three products by oneDNN."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """x (B, m), weight (n, m), bias (n,) to y (B, n)."""
        ctx.save_for_backward(x, weight)
        return product(x, weight, bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        """The gradients of x, where it needs one, of the weight and of the bias."""
        x, weight = ctx.saved_tensors
        dx = product(dy, weight.t(), None) if ctx.needs_input_grad[0] else None
        return dx, product(dy.t(), x.t(), None), dy.sum(0)


def product(a: Tensor, b: Tensor, bias: Tensor | None) -> Tensor:
    """a (m, k) and b (n, k) to a bᵀ + bias (m, n)."""
    c: Tensor = torch.ops.mkldnn._linear_pointwise(a, b, bias, "none", [], "")
    return c
