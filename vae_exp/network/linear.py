"""A linear layer that takes the faster matrix product where there is one."""

from collections.abc import Iterator
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


def is_fast() -> bool:
    """Whether this is inside `fast_linear`, and there is an oneDNN."""
    return _fast


def product_library(model: nn.Module, batch_size: int, device: torch.device) -> str:
    """Whose matrix products a model's batches take in float32: oneDNN's where a large one is among them."""
    if device.type != "cpu":
        return {"cuda": "cuBLAS"}.get(device.type, device.type)
    linear = (module for module in model.modules() if isinstance(module, nn.Linear))
    if is_fast() and any(batch_size * layer.weight.numel() >= SMALLEST_PRODUCT for layer in linear):
        return "oneDNN"
    return "MKL" if torch.backends.mkl.is_available() else "BLAS"


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
    # what torch.compile traces stays plain: `gradients.TakeLargeProducts` goes over the differentiated program
    if torch.compiler.is_compiling() or not (_fast and _suits(x, weight)):
        return F.linear(x, weight, bias)
    y: Tensor = Product.apply(x, weight, bias)
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
    # of a part of a matrix oneDNN's product is slow
    shared = affine(features, of_features.contiguous(), linear.bias)  # type: ignore[arg-type]
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
        and is_large(x, weight)
    )


def is_large(x: Tensor, weight: Tensor) -> bool:
    """Whether oneDNN gains by x Wᵀ; x (B, m), weight (n, m)."""
    return x.shape[0] * weight.numel() >= SMALLEST_PRODUCT


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
        """∂x = ∂y W, ∂W = ∂yᵀ x, ∂b = Σ ∂y, where they are needed."""
        x, weight = ctx.saved_tensors
        dx = by_onednn(dy, weight.t()) if ctx.needs_input_grad[0] else None
        dW = by_onednn(dy.t(), x.t()) if ctx.needs_input_grad[1] else None
        return dx, dW, dy.sum(0) if ctx.needs_input_grad[2] else None
