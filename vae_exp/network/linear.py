"""A linear layer that takes the faster matrix product where there is one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SMALLEST_PRODUCT = 2**23
"""Multiplications from which on oneDNN gains more than its call costs (measured at the sizes of the experiments)."""

AVAILABLE = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")

_fast = False


@contextmanager
def fast_linear(enabled: bool) -> Iterator[None]:
    """Let `Linear` layers on the CPU take their products from oneDNN, in float32 and equal but for its rounding.

    PyTorch sends them to MKL, which takes its slower paths on processors that Intel did not make. Functions that are
    mapped over (torch.vmap) need this off.
    """
    global _fast
    before, _fast = _fast, enabled and AVAILABLE
    try:
        yield
    finally:
        _fast = before


class Linear(nn.Linear):
    """y = x Wᵀ + b, as torch.nn.Linear; inside `fast_linear` large products are oneDNN's."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_features) to (B, out_features)."""
        return affine(x, self.weight, self.bias)


class TransposedLinear(nn.Module):
    """y = x W + b, with the weights W of another layer and a bias of its own, which begins at zero.

    Args:
        linear: Whose weights; they stay that layer's parameter and are no parameter of this one.
    """

    def __init__(self, linear: Linear) -> None:
        super().__init__()
        self._linear = (linear,)  # in a tuple, where nn.Module does not look for parameters
        self.bias = nn.Parameter(torch.zeros(linear.in_features))

    def forward(self, x: Tensor) -> Tensor:
        """(B, out_features of the other layer) to (B, its in_features)."""
        return affine(x, self._linear[0].weight.t(), self.bias)


def affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x Wᵀ + b, by the faster product inside `fast_linear`; x (B, m), weight (n, m) and bias (n,) to (B, n)."""
    if not (_fast and _suits(x, weight)):
        return F.linear(x, weight, bias)
    product = TracedProduct.apply if torch.compiler.is_compiling() else Product.apply
    y: Tensor = product(x, weight, bias)
    return y


def affine_in_context(linear: nn.Module, features: Tensor, c: Tensor) -> Tensor:
    """W [features, c] + b for features (B, n) and K contexts for each of them, c (K·B, context): (K·B, units).

    Row k·B + i is of features i. What the contexts have in common, the product with the features, is computed once.
    """
    if len(c) == len(features):
        y: Tensor = linear(joined(features, c))
        return y
    weight: Tensor = linear.weight  # type: ignore[assignment]
    of_features, of_context = weight.split([features.shape[1], c.shape[1]], 1)
    shared = affine(features, of_features, linear.bias)  # type: ignore[arg-type]
    return shared.repeat(len(c) // len(features), 1) + F.linear(c, of_context)


def joined(features: Tensor, c: Tensor) -> Tensor:
    """Features (B, n) beside the label context (B, context); not copied where that is empty."""
    return torch.cat([features, c], 1) if c.shape[1] else features


def _suits(x: Tensor, weight: Tensor) -> bool:
    return (
        x.dtype is weight.dtype is torch.float32
        and x.device.type == "cpu"
        and not torch.is_autocast_enabled("cpu")
        and x.ndim == 2
        and len(x) * weight.numel() >= SMALLEST_PRODUCT
    )


def by_onednn(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x Wᵀ + b; x (B, m), weight (n, m) and bias (n,) with any strides, to (B, n)."""
    y: Tensor = torch.ops.mkldnn._linear_pointwise.default(x, weight, bias, "none", [], "")
    return y


class Product(torch.autograd.Function):
    """x Wᵀ + b, differentiable once, with as little Python as there can be."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """x (B, m), weight (n, m) and bias (n,) to (B, n)."""
        ctx.save_for_backward(x, weight)
        return by_onednn(x, weight, bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Of x, weight and bias, where they are needed."""
        return _gradients(ctx, dy, by_onednn)


def _gradients(
    ctx: Any, dy: Tensor, product: Callable[[Tensor, Tensor], Tensor]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """∂x = ∂y W, ∂W = ∂yᵀ x, ∂b = Σ ∂y."""
    x, weight = ctx.saved_tensors
    dx = product(dy, weight.t()) if ctx.needs_input_grad[0] else None
    dW = product(dy.t(), x.t()) if ctx.needs_input_grad[1] else None
    return dx, dW, dy.sum(0) if ctx.needs_input_grad[2] else None


# as an operator, torch.compile takes it as it is; torch.library.custom_op would do, with 10 µs more per call
LIBRARY = torch.library.Library("vae_exp", "DEF")
LIBRARY.define("linear(Tensor x, Tensor weight, Tensor? bias=None) -> Tensor")
LIBRARY.impl("linear", by_onednn, "CPU")
torch.library.register_fake("vae_exp::linear", lambda x, weight, bias=None: x.new_empty(len(x), len(weight)))
traced: Callable[..., Tensor] = torch.ops.vae_exp.linear.default


class TracedProduct(torch.autograd.Function):
    """x Wᵀ + b, in the form that torch.func can differentiate."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """x (B, m), weight (n, m) and bias (n,) to (B, n)."""
        return traced(x, weight, bias)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        """Keep what the gradients need."""
        ctx.save_for_backward(*inputs[:2])

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Of x, weight and bias, where they are needed."""
        return _gradients(ctx, dy, traced)
