"""The interface of sources of images, and the types of their images."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from vae_exp.errors import ConfigError

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
    """Pixels (N, C, H, W), uint8 with 256 levels or float32, and labels (N,) int64, −1 where unknown."""

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: Tensor | slice) -> "Images":
        if isinstance(index, slice):
            return Images(self.pixels[index], self.labels[index])
        # index_select is faster than indexing
        return Images(self.pixels.index_select(0, index), self.labels.index_select(0, index))

    def to(self, device: torch.device) -> "Images":
        """Copy the images to a device."""
        return Images(self.pixels.to(device), self.labels.to(device))


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


def balanced(labels: Tensor, n: int, classes: int, seed: int) -> Tensor:
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
    order = shuffled(len(labels), seed).to(labels.device)
    chosen = [order[labels[order] == label][: n // classes] for label in range(classes)]
    fewest, label = min((len(index), label) for label, index in enumerate(chosen))
    if fewest < n // classes:
        raise ConfigError(
            f"dataset.labels={n}: needs {n // classes} training images of each class, but class {label} has only "
            f"{fewest}"
        )
    return torch.cat(chosen)


def shuffled(n: int, seed: int) -> Tensor:
    """Draw a permutation of 0…n−1 that depends only on the arguments."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed))
