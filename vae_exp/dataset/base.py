"""The interface of sources of images, and the types of their images."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy.typing as npt
import torch
from torch import Tensor

from vae_exp.errors import ConfigError, DataError

Values = Literal["levels", "unit", "real"]
"""The values that a pixel can have: 256 levels (uint8, 0 to 255), or floats in [0, 1], or any floats."""


@dataclass(frozen=True)
class Info:
    """What a source knows of its images before they are read.

    Args:
        shape: (C, H, W) of an image. A row of a table with D columns is an image of the shape (1, 1, D).
        class_names: The names of the classes, in the order of the labels; empty if the images have no labels.
        values: The values that a pixel can have.
        sizes: The number of images of each split; a split is left out if its size is not known yet.
    """

    shape: tuple[int, int, int]
    class_names: tuple[str, ...] = ()
    values: Values = "levels"
    sizes: Mapping[str, int] = field(default_factory=dict)

    @property
    def classes(self) -> int:
        """The number of classes; 0 if the images have no labels."""
        return len(self.class_names)


@dataclass(frozen=True)
class Images:
    """Images in memory, or in a memory-mapped file.

    Args:
        pixels: Pixels (N, C, H, W), uint8 with 256 levels or float32.
        labels: Labels (N,) int64, −1 where unknown.
        on_disk: Whether the pixels are a memory-mapped file.
        rows: For images on disk, the positions of the images in `pixels`, (N,) int64; None if they are all of them.
    """

    pixels: Tensor
    labels: Tensor
    on_disk: bool = False
    rows: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Tensor | slice) -> "Images":
        if self.rows is not None:
            return self.in_memory()[index]
        if isinstance(index, slice):
            return replace(self, pixels=self.pixels[index], labels=self.labels[index])
        # index_select is faster than indexing
        return Images(self.pixels.index_select(0, index), self.labels.index_select(0, index))

    def in_memory(self) -> "Images":
        """Return the images themselves, or a copy in memory if they are on disk."""
        if not self.on_disk:
            return self
        return Images(self.pixels.clone() if self.rows is None else self.pixels[self.rows], self.labels)

    @property
    def device(self) -> torch.device:
        """The device that holds the pixels."""
        return self.pixels.device

    def select(self, index: Tensor | slice) -> "Images":
        """Return some of the images."""
        return self[index]

    def ahead(self, indices: Iterable[Tensor | slice]) -> Iterator["Images"]:
        """Yield the images of each index; they are in memory already."""
        return map(self.__getitem__, indices)

    def with_labels(self, labels: Tensor) -> "Images":
        """Return the same images with other labels (N,)."""
        return replace(self, labels=labels)

    def to(self, device: torch.device, non_blocking: bool = False) -> "Images":
        """Copy the images to the memory of a device.

        Args:
            device: The device.
            non_blocking: Whether to return before the copy is done, if the pixels lie in pinned memory.
        """
        pixels = self.in_memory().pixels.to(device, non_blocking=non_blocking)
        return Images(pixels, self.labels.to(device, non_blocking=non_blocking))


def mapped(array: npt.NDArray[Any]) -> Tensor:
    """Return a memory-mapped array as a tensor, without reading it."""
    with warnings.catch_warnings():
        # torch cannot mark a tensor as read-only; nothing writes into the pixels of a source
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)


@dataclass(frozen=True)
class Splits:
    """The images of each split.

    Args:
        train: The training images.
        test: The test images.
        validation: The validation images, if the source has some of its own.
        standardise: Whether the dataset is to standardise all pixels by the training images. Floats may be float64
            until then.
    """

    train: Images
    test: Images
    validation: Images | None = None
    standardise: bool = False


class Source(ABC):
    """A source of images. It reads nothing when it is built."""

    @abstractmethod
    def describe(self) -> Info:
        """Say what the images are. This reads headers and names of files at most, and no pixels.

        Raises:
            DataError: The files are missing or damaged. The message says where they belong.
        """

    @abstractmethod
    def load(self) -> Splits:
        """Read all images.

        Raises:
            DataError: The files are missing, truncated or not the expected ones. The message says where they belong.
        """


class Recorded(Source):
    """Images that a run was trained on, and that are not needed any more.

    Args:
        info: What the images were.
    """

    def __init__(self, info: Info) -> None:
        self.info = info

    def describe(self) -> Info:
        """Return what the images were."""
        return self.info

    def load(self) -> Splits:
        """Refuse to read images.

        Raises:
            DataError: Always: only the description is known.
        """
        raise DataError("dataset: these images are only described, and cannot be read")


def balanced_choice(labels: Tensor, n: int, classes: int, seed: int) -> Tensor:
    """Choose n images at random, the same number of each class; return their positions, (n,) int64.

    With the same seed, a smaller choice is a subset of a larger one.

    Args:
        labels: The labels of all images, (N,) int64.
        n: Number of images to choose, a multiple of `classes`.
        classes: Number of classes.
        seed: The seed of the choice.

    Raises:
        ConfigError: A class has too few images.
    """
    order = permutation(len(labels), seed).to(labels.device)
    chosen = [order[labels[order] == label][: n // classes] for label in range(classes)]
    fewest, label = min((len(index), label) for label, index in enumerate(chosen))
    if fewest < n // classes:
        raise ConfigError(
            f"dataset.labels={n}: needs {n // classes} training images of each class, but class {label} has only "
            f"{fewest}"
        )
    return torch.cat(chosen)


def permutation(n: int, seed: int) -> Tensor:
    """Draw a permutation of 0…n−1 that depends only on the arguments."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed))
