"""What every dataset promises."""

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
        # faster than indexing
        return Images(self.pixels.index_select(0, index), self.labels.index_select(0, index))

    def to(self, device: torch.device) -> "Images":
        """The same images on a device."""
        return Images(self.pixels.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Splits:
    """The images to learn from and the images to judge by."""

    train: Images
    test: Images


class Source(ABC):
    """Where a dataset's images come from. Nothing is read before `load`.

    Attributes:
        shape: (C, H, W) of an image.
        classes: How many labels there are; 0 for none.
    """

    shape: ClassVar[tuple[int, int, int]]
    classes: ClassVar[int]

    @abstractmethod
    def load(self) -> Splits:
        """Read all images.

        Raises:
            DataError: They are missing, cut short or not what they should be; the message says where they belong.
        """


def balanced(labels: Tensor, n: int, classes: int, seed: int) -> Tensor:
    """Which images to choose for n of them, as many of each class, (n,) int64; smaller choices lie in larger ones.

    Args:
        labels: Of all images, (N,) int64.
        n: How many to choose, a multiple of `classes`.
        classes: How many classes there are.
        seed: Of the choice.

    Raises:
        ConfigError: A class has too few images.
    """
    order = shuffled(len(labels), seed).to(labels.device)
    chosen = [order[labels[order] == label][: n // classes] for label in range(classes)]
    fewest, label = min((len(some), label) for label, some in enumerate(chosen))
    if fewest < n // classes:
        raise ConfigError(
            f"dataset.labels={n}: takes {n // classes} training images of each class, and there are {fewest} of "
            f"class {label}"
        )
    return torch.cat(chosen)


def shuffled(n: int, seed: int) -> Tensor:
    """A permutation of 0…n−1 that depends on nothing but its arguments."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed))
