"""Labels of any integers or names, mapped to 0…K−1."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from vae_exp.dataset.array_files import Array
from vae_exp.errors import DataError

UNKNOWN = ("", "nan", "NaN", "None")
"""Texts that stand for an unknown label."""


def number_labels(labels: Mapping[str, Array]) -> tuple[tuple[str, ...], dict[str, Tensor]]:
    """Number the classes of several arrays of labels in their order: as integers, or as texts if one is no integer.

    Args:
        labels: Arrays (N,) or (N, 1) of integers, whole floats or texts, by their name in messages. −1, NaN and an
            empty text stand for an unknown label.

    Returns:
        The names of the classes, and for each array the labels (N,) int64, −1 where unknown.

    Raises:
        DataError: An array has another shape, or holds a float that is not whole.
    """
    texts = {name: _texts(name, array) for name, array in labels.items()}
    known = sorted(set().union(*(set(column.tolist()) for column in texts.values())) - {"-1"})
    if all(map(_is_integer, known)):
        known.sort(key=int)
    numbers = {name: number for number, name in enumerate(known)} | {"-1": -1}
    mapped = {}
    for name, column in texts.items():
        distinct, inverse = np.unique(column, return_inverse=True)
        mapped[name] = torch.from_numpy(np.array([numbers[text] for text in distinct.tolist()], np.int64)[inverse])
    return tuple(known), mapped


def _texts(name: str, array: Array) -> Array:
    """Write every label as a text; an unknown one is −1."""
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise DataError(f"{name} is {array.shape}. Labels (N,) are needed")
    if array.dtype.kind == "f":
        array = np.where(np.isnan(array), -1, array)
        if (array != np.floor(array)).any():
            raise DataError(f"{name} holds {array[array != np.floor(array)][0]:g}. Labels are whole numbers or names")
        array = array.astype(np.int64)
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8")
    if array.dtype.kind not in "biuU":
        raise DataError(f"{name} holds {array.dtype}. Labels are whole numbers or names")
    if array.dtype.kind != "U":
        return array.astype(np.int64).astype(str)
    column = np.char.strip(array)
    return np.where(np.isin(column, UNKNOWN), "-1", column)


def _is_integer(text: str) -> bool:
    return text.removeprefix("-").isdecimal()
