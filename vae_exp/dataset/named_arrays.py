"""Images and tables among arrays that have names: how they become splits."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from vae_exp.dataset.array_files import Array, ArrayFile, Header
from vae_exp.dataset.array_names import Given, Names, find
from vae_exp.dataset.array_values import (
    Layout,
    Named,
    arrange,
    check_header,
    check_values,
    image_shape,
    is_binary,
    pixels,
    values_by_range,
    values_by_type,
)
from vae_exp.dataset.base import Images, Info, Source, Splits, Values, permutation
from vae_exp.dataset.labels import number_labels
from vae_exp.errors import ConfigError, DataError

log = logging.getLogger(__name__)


class NamedArrays(Source):
    """Images or rows of numbers among arrays that have names.

    Images are (N, H, W), (N, C, H, W) or (N, H, W, C); rows are (N, D) and become images of the shape (1, 1, D).

    Args:
        path: The file of the arrays, or what stands for it in messages.
        open_file: Opens the file.
        given: The names of the arrays of each split that are given. Others are found by convention
            (`array_names.find`).
        test_fraction: The share of images that is drawn for the test split, if there are no test images.
        split_seed: The seed of this draw.
        layout: Which axis of images with four axes is the channels; None takes the one of length 1 or 3.
        values: The values of the pixels: `levels` (0 to 255, divided by 255), `unit` (floats in [0, 1]) or `real`.
            `auto`: integers are levels; floats are unit if all of them lie in [0, 1], else real.
        standardise: Whether every pixel is standardised by its mean and standard deviation over the training images.
    """

    def __init__(
        self,
        path: Path,
        open_file: Callable[[], ArrayFile],
        given: Mapping[str, Given],
        test_fraction: float,
        split_seed: int,
        layout: Layout | None,
        values: Literal["auto"] | Values,
        standardise: bool,
    ) -> None:
        self.path = path
        self._open = open_file
        self.given = given
        self.test_fraction = test_fraction
        self.split_seed = split_seed
        self.layout = layout
        self.values = values
        self.standardise = standardise
        self._read: dict[str, Array] = {}
        """Arrays that `describe` had to read, until `load` takes them."""
        self._auto: Values | None = None
        """What `values=auto` means for these arrays, once it is known."""

    def describe(self) -> Info:
        """Say what the images are: read headers and labels; with `values=auto`, also all floats.

        Raises:
            DataError: The file is missing or damaged, an array cannot hold images, or there are more or fewer labels
                than images.
            ConfigError: The file is of an unknown kind, an argument has no meaning for it, or it is not clear which
                array holds the images, or which axis the channels.
        """
        headers = self._file.headers()
        names = find(headers, self.given, self.path)
        values = self._decide(headers, names)
        if self.standardise and values == "levels":
            raise ConfigError(
                "dataset.source.standardise=true: the pixels are 256 levels. Allowed: dataset.source.values=real, "
                "which takes integers as numbers"
            )
        classes, _ = self._labels(names)
        values = "real" if self.standardise else values
        return Info(self._shape(headers, names), classes, values, self._sizes(headers, names))

    def load(self) -> Splits:
        """Read all images.

        Raises:
            DataError: As `describe`, or a value is not allowed.
            ConfigError: As `describe`.
        """
        headers = self._file.headers()
        names = find(headers, self.given, self.path)
        shape, values, (_, labels) = self._shape(headers, names), self._decide(headers, names), self._labels(names)
        arrays = {split: self._array(split_names.images) for split, split_names in names.items()}
        named = [Named(self._place(names[split].images), array) for split, array in arrays.items()]
        if self.values != "auto" or values == "levels":  # otherwise they are checked already
            check_values(named, values)
        if self.values == "auto" and values == "levels" and all(map(is_binary, named)):
            log.warning(
                "%s: integers are divided by 255, and these are 0 or 1. Say dataset.source.values=unit", self.path
            )
        self._read = {}  # not kept beside the images
        del self._file
        log.info("%s: %s; the values are %s", self.path, _in_words(headers, names), values)
        splits = {}
        for split, array in arrays.items():
            images = pixels(arrange(array, shape), values, double=self.standardise)
            on_disk = isinstance(array, np.memmap) and np.may_share_memory(array, images.numpy())
            splits[split] = Images(images, labels.get(split, torch.full((len(images),), -1)), on_disk)
        train, test = (splits["train"], splits["test"]) if "test" in splits else self._divide(splits["train"])
        return Splits(train, test, splits.get("validation"), self.standardise)

    def _divide(self, images: Images) -> tuple[Images, Images]:
        """Draw the test images from all images; return the others and them."""
        order = permutation(len(images), self.split_seed)
        count = self._drawn(len(images))
        if images.on_disk:  # the file may be larger than memory
            train, test = (replace(images, labels=images.labels[i], rows=i) for i in (order[count:], order[:count]))
            return train, test
        return images[order[count:]], images[order[:count]]

    @cached_property
    def _file(self) -> ArrayFile:
        return self._open()

    def _shape(self, headers: dict[str, Header], names: dict[str, Names]) -> tuple[int, int, int]:
        """Check the headers of all splits and return the shape (C, H, W) of their images."""
        train = headers[names["train"].images]
        for split_names in names.values():
            header, name = headers[split_names.images], self._place(split_names.images)
            check_header(name, header)
            if header.item != train.item:
                raise DataError(f"{name} is {header}, and {names['train'].images} is {train}: the images differ")
            labels = headers.get(split_names.labels or "")
            if labels is not None and labels.rows != header.rows:
                raise DataError(f"{name} is {header}, and {split_names.labels} is {labels}: a label each is needed")
        return image_shape(train.item, self.layout, self._place(names["train"].images))

    def _decide(self, headers: dict[str, Header], names: dict[str, Names]) -> Values:
        """Return the values of the pixels. With `auto`, floats have to be read for this; they are kept for `load`."""
        self._shape(headers, names)
        if self.values != "auto":
            return self.values
        if self._auto is None:
            dtypes = {self._place(n.images): headers[n.images].dtype for n in names.values()}
            self._auto = values_by_type(dtypes) or values_by_range(
                [Named(self._place(n.images), self._array(n.images)) for n in names.values()]
            )
        return self._auto

    def _labels(self, names: dict[str, Names]) -> tuple[tuple[str, ...], dict[str, Tensor]]:
        """Return the names of the classes, and the labels of every split that has some."""
        places = {split: self._place(n.labels) for split, n in names.items() if n.labels is not None}
        arrays = {self._place(n.labels): self._array(n.labels) for n in names.values() if n.labels is not None}
        classes, labels = number_labels(arrays)
        return classes, {split: labels[place] for split, place in places.items()}

    def _sizes(self, headers: dict[str, Header], names: dict[str, Names]) -> dict[str, int]:
        """Return the size of every split; none if only reading the values can tell."""
        rows = {split: headers[n.images].rows for split, n in names.items()}
        sizes = {split: count for split, count in rows.items() if count is not None}
        if sizes and "test" not in sizes:
            sizes["test"] = self._drawn(sizes["train"])
            sizes["train"] -= sizes["test"]
        return sizes

    def _drawn(self, count: int) -> int:
        """Return how many of `count` images are drawn for the test split.

        Raises:
            DataError: There is only one image.
        """
        if count < 2:
            raise DataError(f"{self.path}: has {count} image, and a training and a test split are needed")
        return min(max(1, round(self.test_fraction * count)), count - 1)

    def _array(self, name: str) -> Array:
        if name not in self._read:
            self._read[name] = self._file.read(name)
        return self._read[name]

    def _place(self, name: str) -> str:
        """Name an array in a message."""
        return f"{self.path}: {name}"


def _in_words(headers: dict[str, Header], names: dict[str, Names]) -> str:
    """Say which arrays are the images and labels of which split."""
    return ", ".join(
        f"{split} {n.images} {headers[n.images]}" + (f" with labels {n.labels}" if n.labels else "")
        for split, n in names.items()
    )
