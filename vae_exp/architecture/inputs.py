"""What a model is given from outside, held against what it takes: one message, with the shape that is wanted."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from vae_exp.errors import InputError


def floats(name: str, value: Any, event: tuple[int, ...], wanted: str, like: Tensor) -> Tensor:
    """Images or latents on the model's own device, of its type; arrays, other floats and booleans are converted.

    Bytes are not: nobody can tell whether 0 and 1 are black and white or two shades of black.

    Args:
        name: What the argument is called.
        value: Whatever was given.
        event: The sizes of its last axes; at least one axis comes before them.
        wanted: The whole shape, in words.
        like: One of the model's parameters.

    Raises:
        InputError: It has another shape, or its values are no floats.
    """
    tensor = _tensor(name, value, wanted)
    if not tensor.is_floating_point() and tensor.dtype != torch.bool:
        raise InputError(f"{name}: is {_type(tensor)}, but {wanted} are floats")
    if tensor.ndim <= len(event) or tuple(tensor.shape[-len(event) :]) != tuple(event):
        raise InputError(f"{name}: {wanted} are needed, not {tuple(tensor.shape)}")
    return tensor.to(like.device, like.dtype)


def integers(name: str, value: Any, count: int, known: range, like: Tensor) -> Tensor:
    """Labels (B,) as int64, on the model's own device; NumPy arrays and other integers are converted.

    Args:
        name: What the argument is called.
        value: Whatever was given.
        count: How many there have to be, B.
        known: The labels that the model takes; not looked at where it takes none.
        like: One of the model's parameters.

    Raises:
        InputError: There are not as many, they are no integers, or there is no such class.
    """
    wanted = f"labels ({count},)"
    tensor = _tensor(name, value, wanted)
    if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool:
        raise InputError(f"{name}: is {_type(tensor)}, but {wanted} are integers")
    if tuple(tensor.shape) != (count,):
        raise InputError(f"{name}: {wanted} are needed, not {tuple(tensor.shape)}")
    if known.stop > 0 and count and not known.start <= int(tensor.min()) <= int(tensor.max()) < known.stop:
        unknown = ", −1 where they are not known" if known.start < 0 else ""
        raise InputError(f"{name}: labels are 0 to {known.stop - 1}{unknown}; there are others")
    return tensor.to(like.device, torch.int64)


def finite(value: Tensor) -> bool:
    """Whether there is no NaN and no infinity; inside torch.vmap, where nobody can look, it is taken for granted."""
    try:
        return bool(value.isfinite().all())
    except RuntimeError:
        return True


def check_labels(y: Tensor, known: range) -> None:
    """Hold labels that were given to `terms` against the classes, unless `likelihood.unvalidated` trusts them.

    Args:
        y: Labels (B,), int64.
        known: The labels that the model takes.

    Raises:
        InputError: There is no such class.
    """
    if Distribution._validate_args and not torch.compiler.is_compiling():
        integers("y", y, len(y), known, y)


def whole(name: str, value: Any) -> int:
    """A number of images, 0 or more.

    Raises:
        InputError: It is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
        raise InputError(f"{name}={value}: a whole number is needed, 0 or more")
    return int(value)


def _tensor(name: str, value: Any, wanted: str) -> Tensor:
    if isinstance(value, Tensor):
        if value.layout != torch.strided:
            raise InputError(f"{name}: {wanted} are needed, dense, not {str(value.layout).removeprefix('torch.')}")
        return value
    try:
        array = np.ascontiguousarray(value)
        return torch.from_numpy(array.astype(array.dtype.newbyteorder("="), copy=False))
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: {wanted} are needed, as a tensor or an array, not {type(value).__name__}") from error


def _type(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
