"""Linear layers that use the faster matrix product if one is available."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SMALLEST_PRODUCT = 2**23
"""oneDNN is faster from this number of multiplications on (measured at the sizes of the experiments)."""

# the public way, Tensor.to_mkldnn, copies both matrices; PyTorch's own compiler calls this operator
ONEDNN: Any = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
AVAILABLE = torch.backends.mkldnn.is_available() and ONEDNN is not None

_fast = False


@contextmanager
def fast_linear(enabled: bool) -> Iterator[None]:
    """Let `Linear` layers on the CPU compute float32 products by oneDNN; results are equal up to rounding.

    PyTorch computes them by MKL, which is slower on processors that Intel did not make. Turn this off for functions
    under torch.vmap.
    """
    before = _fast
    set_fast_linear(enabled and AVAILABLE)
    try:
        yield
    finally:
        set_fast_linear(before)


def set_fast_linear(enabled: bool) -> None:
    """Turn `fast_linear` on or off, until this changes."""
    global _fast
    _fast = enabled


def is_fast() -> bool:
    """Tell whether `fast_linear` is on and oneDNN is available."""
    return _fast


def product_library(model: nn.Module, batch_size: int, device: torch.device) -> str:
    """Name the library of a model's float32 matrix products: oneDNN if at least one product is large enough for it."""
    if device.type != "cpu":
        return {"cuda": "cuBLAS"}.get(device.type, device.type)
    linear = (module for module in model.modules() if isinstance(module, nn.Linear))
    if is_fast() and any(batch_size * layer.weight.numel() >= SMALLEST_PRODUCT for layer in linear):
        return "oneDNN"
    return "MKL" if torch.backends.mkl.is_available() else "BLAS"


class Linear(nn.Linear):
    """y = x Wᵀ + b, as torch.nn.Linear. With `fast_linear`, oneDNN computes large products."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_features) to (B, out_features)."""
        return affine(x, self.weight, self.bias)


class TransposedLinear(nn.Module):
    """y = x W + b, with the weights W of another layer and its own bias, initially zero.

    Args:
        linear: The layer that owns the weights. They are not a parameter of this layer.
    """

    def __init__(self, linear: Linear) -> None:
        super().__init__()
        self._linear = (linear,)  # nn.Module does not look for parameters in a tuple
        self.bias = nn.Parameter(torch.zeros(linear.in_features))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, linear.out_features) to (B, linear.in_features)."""
        return affine(x, self._linear[0].weight.t(), self.bias)


def affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Compute x Wᵀ + b, (B, n), for x (B, m), weight (n, m) and bias (n,), by the faster product with `fast_linear`."""
    # torch.compile must trace the plain operation: `gradients.TakeLargeProducts` replaces it after differentiation
    if torch.compiler.is_compiling() or not (_fast and _suits(x, weight)):
        return F.linear(x, weight, bias)
    y: Tensor = Product.apply(x, weight, bias)
    return y


def affine_in_context(linear: nn.Module, features: Tensor, c: Tensor) -> Tensor:
    """Compute W [features, c] + b, (K·B, units), for features (B, n) and K contexts for each, c (K·B, context).

    Row k·B + i belongs to row i of the features. Their product with W is computed once for all K contexts.
    """
    if c.shape[0] == features.shape[0]:
        y: Tensor = linear(join_context(features, c))
        return y
    weight: Tensor = linear.weight  # type: ignore[assignment]
    feature_weight, context_weight = weight.split([features.shape[1], c.shape[1]], 1)
    # contiguous, because oneDNN is slow for a part of a matrix
    shared = affine(features, feature_weight.contiguous(), linear.bias)  # type: ignore[arg-type]
    return shared.repeat(len(c) // len(features), 1) + F.linear(c, context_weight)


def join_context(features: Tensor, c: Tensor) -> Tensor:
    """Concatenate features (B, n) and label context (B, context), without a copy if the context is empty."""
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
    """Tell whether oneDNN is faster for x Wᵀ; x (B, m), weight (n, m)."""
    return x.shape[0] * weight.numel() >= SMALLEST_PRODUCT


def by_onednn(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Compute x Wᵀ + b, (B, n), for x (B, m), weight (n, m) and bias (n,) with any strides."""
    y: Tensor = ONEDNN.default(x, weight, bias, "none", [], "")
    return y


class Product(torch.autograd.Function):
    """x Wᵀ + b by oneDNN, differentiable once, with as little Python code as possible."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Map x (B, m), weight (n, m) and bias (n,) to (B, n)."""
        ctx.save_for_backward(x, weight)
        return by_onednn(x, weight, bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Compute ∂x = ∂y W, ∂W = ∂yᵀ x and ∂b = Σ ∂y, each only if it is needed, else None."""
        x, weight = ctx.saved_tensors
        dx = by_onednn(dy, weight.t()) if ctx.needs_input_grad[0] else None
        dW = by_onednn(dy.t(), x.t()) if ctx.needs_input_grad[1] else None
        return dx, dW, dy.sum(0) if ctx.needs_input_grad[2] else None
