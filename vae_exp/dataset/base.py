"""The interface of sources of images, and the types of their images."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from vae_exp.errors import ConfigError


@dataclass(frozen=True)
class Images:
    """Pixels (N, C, H, W) uint8 and labels (N,) int64, −1 where unknown."""

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
    """The training images and the test images."""

    train: Images
    test: Images


class Source(ABC):
    """A source of images. It reads nothing before `load`.

    Attributes:
        shape: (C, H, W) of an image.
        classes: Number of classes; 0 if the images have no labels.
    """

    shape: ClassVar[tuple[int, int, int]]
    classes: ClassVar[int]

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
