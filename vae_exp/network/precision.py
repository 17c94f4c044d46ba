"""Full float32 precision on every device."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import backends

cuda: Any = backends.cuda
cudnn: Any = backends.cudnn
mkldnn: Any = backends.mkldnn

OPERATIONS = cuda.matmul, cudnn.conv, cudnn.rnn, mkldnn.matmul, mkldnn.conv
"""Operations that PyTorch may compute with less precision: a GPU's convolutions use TF32 by default."""


@contextmanager
def full_precision() -> Iterator[None]:
    """Compute products and convolutions in full float32 (not TF32) in this context; restore the settings at its end."""
    precisions = [operation.fp32_precision for operation in OPERATIONS]
    # PyTorch has an old and a new API for this; reading one fails if the settings were made by the other
    products = _readable(torch.get_float32_matmul_precision)
    convolutions = _readable(lambda: cudnn.allow_tf32)
    try:
        _set(None if products is None else "highest", None if convolutions is None else False)
        for operation in OPERATIONS:
            operation.fp32_precision = "ieee"
        yield
    finally:
        _set(products, convolutions)
        for operation, precision in zip(OPERATIONS, precisions, strict=True):
            operation.fp32_precision = precision


def _set(products: str | None, convolutions: bool | None) -> None:
    """Set the precision by the old API; None leaves a setting unchanged."""
    if products is not None:
        torch.set_float32_matmul_precision(products)
    if convolutions is not None:
        cudnn.allow_tf32 = convolutions


def _readable(read: Callable[[], Any]) -> Any:
    """Read a setting by the old API; None if PyTorch refuses because the new API made it."""
    try:
        return read()
    except RuntimeError:
        return None
