"""The contract of a source from outside this package: what it says of its images holds for the images that it loads."""

from collections.abc import Iterator
from typing import Any, get_args

import torch
from torch import Tensor

from vae_exp.dataset.base import Images, Info, Splits, Values
from vae_exp.foreign import require

KEY = "dataset.source"
ROWS = 4096
"""How many images are checked at a time: an array on disk may be larger than the memory."""


def check_info(info: Any, source: str) -> None:
    """Check the description of a source's images.

    Args:
        info: What `describe` has returned.
        source: The name of the source's class.

    Raises:
        PartError: It is no description of images.
    """
    call = f"{source}.describe()"
    require(isinstance(info, Info), KEY, f"{call} must return an Info, and returns a {type(info).__name__}")
    sizes = info.shape if isinstance(info.shape, tuple | list) else ()
    is_shape = len(sizes) == 3 and all(isinstance(size, int) and size > 0 for size in sizes)
    require(is_shape, KEY, f"{call}.shape must be (C, H, W), and is {info.shape}")
    names = info.class_names
    are_names = isinstance(names, tuple) and all(isinstance(name, str) for name in names)
    require(are_names, KEY, f"{call}.class_names must be a tuple of texts, and is {names!r}")
    kinds = get_args(Values)
    require(info.values in kinds, KEY, f"{call}.values must be one of {', '.join(kinds)}, and is {info.values!r}")


def check_splits(splits: Any, info: Info, source: str) -> None:
    """Hold the loaded images of a source against its description.

    Args:
        splits: What `load` has returned.
        info: What `describe` has returned.
        source: The name of the source's class.

    Raises:
        PartError: They do not agree. The message names the split, and the first image that is wrong.
    """
    call = f"{source}.load()"
    require(isinstance(splits, Splits), KEY, f"{call} must return Splits, and returns a {type(splits).__name__}")
    for name in ("train", "validation", "test"):
        images = getattr(splits, name)
        if images is None and name == "validation":
            continue
        kind = type(images).__name__
        require(isinstance(images, Images), KEY, f"{call}.{name} must be Images, and is a {kind}")
        _check_pixels(images.pixels, info, splits.standardise, f"{call}.{name}.pixels")
        _check_labels(images, info, f"{call}.{name}.labels")
        size = info.sizes.get(name, len(images))
        require(size == len(images), KEY, f"{call}.{name} must have {size} images, as described, not {len(images)}")


def _check_pixels(pixels: Any, info: Info, standardise: bool, name: str) -> None:
    require(isinstance(pixels, Tensor), KEY, f"{name} must be a tensor, and is a {type(pixels).__name__}")
    shape, wanted = tuple(pixels.shape), ", ".join(map(str, info.shape))
    is_shape = shape[1:] == tuple(info.shape) and len(shape) == 4 and shape[0] > 0
    require(is_shape, KEY, f"{name} must have the shape (N, {wanted}), as described, not {shape}")
    dtype = torch.uint8 if info.values == "levels" else torch.float32
    is_dtype = pixels.dtype == dtype or (standardise and pixels.dtype == torch.float64)
    require(is_dtype, KEY, f"{name} must be {dtype} for values={info.values}, and is {pixels.dtype}")
    if info.values != "levels":
        allowed = "in [0, 1]" if info.values == "unit" else "finite"
        bad = next(_wrong(pixels, info), None)
        require(bad is None, KEY, f"{name} must be {allowed} for values={info.values}, and image {bad} is not")


def _wrong(pixels: Tensor, info: Info) -> Iterator[int]:
    """Yield the positions of images with a value that is not allowed."""
    for start in range(0, len(pixels), ROWS):
        rows = pixels[start : start + ROWS].flatten(1)
        right = (rows >= 0) & (rows <= 1) if info.values == "unit" else rows.isfinite()
        yield from (start + (~right.all(1)).nonzero().flatten()).tolist()


def _check_labels(images: Images, info: Info, name: str) -> None:
    labels = images.labels
    require(isinstance(labels, Tensor), KEY, f"{name} must be a tensor, and is a {type(labels).__name__}")
    count = len(images.pixels if images.rows is None else images.rows)
    shape = tuple(labels.shape)
    require(shape == (count,), KEY, f"{name} must have the shape ({count},), one per image, not {shape}")
    require(labels.dtype == torch.int64, KEY, f"{name} must be torch.int64, and is {labels.dtype}")
    least, most = int(labels.min()), int(labels.max())
    within = least >= -1 and most < info.classes
    allowed = f"-1 to {info.classes - 1}, as there are {info.classes} classes" if info.classes else "-1 without classes"
    require(within, KEY, f"{name} must be {allowed}, and are {least} to {most}")
