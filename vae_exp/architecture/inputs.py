"""Checks of the images, labels and latents that a user gives to a model. A message says which shape is needed."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding

from vae_exp.errors import InputError, UserError
from vae_exp.likelihood import is_validated


def floats(name: str, value: Any, event: tuple[int, ...], wanted: str, like: Tensor) -> Tensor:
    """Convert images or latents to the device and type of the model. Arrays, other floats and booleans are converted.

    Bytes are refused: 0 and 1 could be black and white, or two shades of black.

    Args:
        name: Name of the argument.
        value: Its value.
        event: The sizes of the last axes. At least one axis comes before them.
        wanted: The whole shape, in words.
        like: A parameter of the model.

    Raises:
        InputError: The value has another shape, or it does not hold floats.
    """
    tensor = _tensor(name, value, wanted)
    if not tensor.is_floating_point() and tensor.dtype != torch.bool:
        raise InputError(f"{name}: is {_type(tensor)}, but {wanted} are floats")
    if tensor.ndim <= len(event) or tuple(tensor.shape[-len(event) :]) != tuple(event):
        raise InputError(f"{name}: {wanted} are needed, not {tuple(tensor.shape)}")
    return tensor.to(like.device, like.dtype)


def integers(name: str, value: Any, count: int, known: range, like: Tensor) -> Tensor:
    """Convert labels (B,) to int64 on the device of the model. NumPy arrays and other integers are converted.

    Args:
        name: Name of the argument.
        value: Its value.
        count: The number of labels that are needed, B.
        known: The labels that the model takes. If it takes none, labels are not checked.
        like: A parameter of the model.

    Raises:
        InputError: The number of labels differs, they are not integers, or a class does not exist.
    """
    wanted = f"labels ({count},)"
    tensor = _tensor(name, value, wanted)
    if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool:
        raise InputError(f"{name}: is {_type(tensor)}, but {wanted} are integers")
    if tuple(tensor.shape) != (count,):
        raise InputError(f"{name}: {wanted} are needed, not {tuple(tensor.shape)}")
    readable = count > 0 and not torch.compiler.is_compiling()  # torch.export has no values
    if known.stop > 0 and readable and not known.start <= int(tensor.min()) <= int(tensor.max()) < known.stop:
        unknown = ", −1 where they are not known" if known.start < 0 else ""
        raise InputError(f"{name}: labels are 0 to {known.stop - 1}{unknown}; there are others")
    return tensor.to(like.device, torch.int64)


def finite(value: Tensor) -> bool:
    """Whether there is no NaN and no infinity. Yes inside torch.vmap and torch.export: no value can be read."""
    if torch.compiler.is_compiling():
        return True
    try:
        return bool(value.isfinite().all())
    except RuntimeError:
        return True


def check_labels(y: Tensor, known: range) -> None:
    """Check labels that were given to `terms`, unless `likelihood.unvalidated` trusts them.

    Args:
        y: Labels (B,), int64.
        known: The labels that the model takes.

    Raises:
        InputError: A class does not exist.
    """
    if is_validated() and not torch.compiler.is_compiling():
        integers("y", y, len(y), known, y)


def whole(name: str, value: Any) -> int:
    """Check a number of images, 0 or more.

    Raises:
        InputError: The value is not a whole number, or it is negative.
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


def one_hot_labels(y: Tensor | None, classes: int, model: str) -> Tensor:
    """Return labels (B,) as one-hot vectors (B, classes), int64.

    Args:
        y: The labels.
        classes: Number of classes.
        model: The model that needs them, for messages.

    Raises:
        UserError: There are no labels, or one is unknown.
    """
    if y is None:
        raise UserError(f"{model} needs the labels y (B,)")
    check_labels(y, range(classes))
    # torch.nn.functional.one_hot reads the values, which an ensemble cannot
    return embedding(y, torch.eye(classes, dtype=torch.int64, device=y.device))
