"""Clauses that every contract has: what a tensor must be."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from vae_exp.foreign import require


def check_floats(value: Any, shape: Sequence[int], key: str, name: str) -> None:
    """Check that a value is a tensor of finite floats.

    Args:
        value: The value.
        shape: The shape that it must have.
        key: The part's key on the command line.
        name: Where the value comes from, such as `MyEncoder(x, c)`.

    Raises:
        PartError: It is not.
    """
    wanted = f"a tensor of floats {tuple(shape)}"
    require(isinstance(value, Tensor), key, f"{name} must be {wanted}, and is a {type(value).__name__}")
    require(tuple(value.shape) == tuple(shape), key, f"{name} must be {wanted}, and its shape is {tuple(value.shape)}")
    require(value.dtype == torch.float32, key, f"{name} must be {wanted}, and its type is {value.dtype}")
    require(bool(value.isfinite().all()), key, f"{name} must be finite for random images, and has NaN or infinity")


def check_terms(terms: Any, images: int, key: str, name: str) -> None:
    """Check that a value is a dict of terms: named tensors with one value per image.

    Raises:
        PartError: It is not.
    """
    kind = type(terms).__name__
    require(isinstance(terms, Mapping) and bool(terms), key, f"{name} must be a dict of terms, and is a {kind}")
    for term, value in terms.items():
        check_floats(value, (images,), key, f"{name}[{term!r}]")


def check_trainable(value: Tensor, parameters: Sequence[Tensor], key: str, complaint: str) -> None:
    """Check that a value has a gradient with respect to at least one of the parameters.

    Raises:
        PartError: It has none.
    """
    gradients: Sequence[Tensor | None] = [None]
    if value.requires_grad and parameters:
        gradients = torch.autograd.grad(value.sum(), parameters, allow_unused=True)
    require(any(gradient is not None for gradient in gradients), key, complaint)
