"""float32 as it is written, on every device."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import backends

cuda: Any = backends.cuda
cudnn: Any = backends.cudnn
mkldnn: Any = backends.mkldnn

OPERATIONS = cuda.matmul, cudnn.conv, cudnn.rnn, mkldnn.matmul, mkldnn.conv
"""What may be computed with fewer digits than float32 has: a GPU's convolutions in TF32 unless they are told not to."""


@contextmanager
def full_precision() -> Iterator[None]:
    """Inside, float32 is float32 (on a GPU not TF32), in products and convolutions; afterwards what it was before."""
    precisions = [operation.fp32_precision for operation in OPERATIONS]
    # PyTorch has two ways to say so, and refuses to be asked in one for what was set in the other
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
    """The older way; None leaves one alone."""
    if products is not None:
        torch.set_float32_matmul_precision(products)
    if convolutions is not None:
        cudnn.allow_tf32 = convolutions


def _readable(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except RuntimeError:
        return None
