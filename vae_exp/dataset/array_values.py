"""Arrays to pixels (N, C, H, W) and labels: their layout, and the values that they may have."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from torch import Tensor

from vae_exp.dataset.array_files import Array, Header
from vae_exp.dataset.base import Values, mapped
from vae_exp.errors import ConfigError, DataError

Layout = Literal["NCHW", "NHWC"]

AT_ONCE = 2**22
"""Values that are checked at a time: a mapped file is not read into memory as a whole."""


@dataclass(frozen=True)
class Named:
    """An array (N, …) and its name in messages, such as `digits.npz: x_train`."""

    name: str
    values: Array

    def blocks(self) -> Iterator[tuple[int, Array]]:
        """Yield the number of the first row and the values of some rows at a time."""
        rows = max(1, AT_ONCE // max(1, math.prod(self.values.shape[1:])))
        for start in range(0, len(self.values), rows):
            yield start, self.values[start : start + rows]


def check_header(name: str, header: Header) -> None:
    """Check that an array can hold images.

    Raises:
        DataError: It is empty, has a number of axes other than 2, 3 or 4, or does not hold real numbers.
    """
    if header.dtype.kind not in "biuf" and not header.dtype.hasobject:
        raise DataError(f"{name} holds {header.dtype}. Images are integers or floats")
    if header.dtype.hasobject:
        raise DataError(f"{name} holds Python objects, which are never unpickled. Save numbers")
    if not 1 <= len(header.item) <= 3:
        raise DataError(f"{name} is {header}. Needed: (N, D), (N, H, W), (N, C, H, W) or (N, H, W, C)")
    if header.rows == 0 or 0 in header.item:
        raise DataError(f"{name} is {header}: it is empty")


def image_shape(item: tuple[int, ...], layout: Layout | None, name: str) -> tuple[int, int, int]:
    """Return the shape (C, H, W) of an image from the axes after the first; a row (D,) has the shape (1, 1, D).

    Raises:
        ConfigError: The channels may be the first or the last axis, or a layout is given and there are no channels.
    """
    if len(item) < 3:
        if layout is not None:
            raise ConfigError(f"dataset.source.layout={layout}: {name} has no axis of channels. Leave it out")
        return (1, *item) if len(item) == 2 else (1, 1, item[0])
    if layout is None:
        first, last = item[0] in (1, 3), item[2] in (1, 3)
        if first == last:
            raise ConfigError(
                f"dataset.source.layout: is the axis of the channels of {name} (N, {', '.join(map(str, item))}) the "
                "second or the last? Allowed: layout=NCHW or layout=NHWC"
            )
        layout = "NCHW" if first else "NHWC"
    a, b, c = item
    return (a, b, c) if layout == "NCHW" else (c, a, b)


def arrange(array: Array, shape: tuple[int, int, int]) -> Array:
    """View an array (N, …) as images (N, C, H, W) of this shape."""
    if array.ndim == 4 and tuple(array.shape[1:]) != shape:
        return array.transpose(0, 3, 1, 2)
    return array.reshape(-1, *shape)


def values_by_type(dtypes: Mapping[str, np.dtype[Any]]) -> Values | None:
    """Return `levels` for integers; None for floats, whose values decide.

    Raises:
        DataError: Some arrays hold integers and others floats.
    """
    kinds = {dtype.kind == "f": f"{name} {dtype}" for name, dtype in dtypes.items()}
    if len(kinds) > 1:
        raise DataError(f"{' and '.join(kinds.values())}: are these levels or floats? Say dataset.source.values=")
    return None if True in kinds else "levels"


def values_by_range(arrays: Sequence[Named]) -> Values:
    """Return `unit` if all floats lie in [0, 1], else `real`.

    Raises:
        DataError: A value is NaN or infinite.
    """
    for array in arrays:
        check_finite(array)
    return "unit" if all(map(_is_unit, arrays)) else "real"


def check_values(arrays: Sequence[Named], values: Values) -> None:
    """Check that all values are allowed.

    Raises:
        DataError: They are not. The message counts them and names the first row with one.
    """
    for array in arrays:
        if values == "levels":
            _check_levels(array)
            continue
        check_finite(array)
        if values == "unit":
            _refuse(array, lambda block: ~_in_unit(block), "outside [0, 1]", "dataset.source.values=real")


def is_binary(array: Named) -> bool:
    """Tell whether the first rows are integers 0 and 1, and no booleans."""
    _, block = next(array.blocks())
    return block.dtype.kind != "b" and int(block.max()) <= 1


def check_finite(array: Named) -> None:
    """Check that no value is NaN or infinite as float32.

    Raises:
        DataError: One is.
    """
    if array.values.dtype.kind != "f":
        return
    _refuse(array, np.isnan, "NaN")
    _refuse(array, lambda block: ~np.isfinite(_float32(block)), "infinite or larger than a float32")


def pixels(array: Array, values: Values, double: bool = False) -> Tensor:
    """Convert checked images to a tensor: uint8 for levels, else float32. The memory is shared if the type is the same.

    Args:
        array: The images (N, C, H, W).
        values: Their values.
        double: Whether floats are float64, for a later standardisation.
    """
    if values == "levels":
        array = array.view(np.uint8) * np.uint8(255) if array.dtype == np.bool_ else array
    dtype = np.uint8 if values == "levels" else np.float64 if double else np.float32
    return mapped(array.astype(dtype, copy=False))


def _check_levels(array: Named) -> None:
    if array.values.dtype in (np.uint8, np.bool_):
        return
    if array.values.dtype.kind == "f":
        _refuse(array, lambda block: block != np.floor(block), "no whole number", "dataset.source.values=real")
    _refuse(array, lambda block: (block < 0) | (block > 255), "outside 0…255", "dataset.source.values=real")


def _refuse(array: Named, wrong: Callable[[Array], Array], problem: str, allowed: str = "") -> None:
    count, first = 0, 0
    for start, block in array.blocks():
        bad = wrong(block)
        if not count and bad.any():
            first = start + int(np.nonzero(bad)[0][0])
        count += int(bad.sum())
    if count:
        hint = f". Allowed: {allowed}" if allowed else ""
        raise DataError(
            f"{array.name}: {count:,} of {array.values.size:,} values are {problem}, the first in row {first:,} "
            f"(counted from 0){hint}"
        )


def _is_unit(array: Named) -> bool:
    return all(bool(_in_unit(block).all()) for _, block in array.blocks())


def _in_unit(block: Array) -> Array:
    block = _float32(block)
    return (block >= 0) & (block <= 1)


def _float32(block: Array) -> Array:
    with np.errstate(over="ignore"):
        return block.astype(np.float32, copy=False)
