"""A data source: grey disks, squares and diamonds, drawn from a seed. Nothing is downloaded."""

import torch
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor

from vae_exp.dataset import Images, Info, Source, Splits

NAMES = ("disk", "square", "diamond")
TEST_FRACTION = 0.2


class Shapes(Source):
    """One shape in each image, with a random position, size and brightness.

    Args:
        images: Number of images, for training and testing.
        size: Height and width of an image.
        seed: The seed of all images.
    """

    def __init__(self, images: PositiveInt = 2000, size: PositiveInt = 16, seed: NonNegativeInt = 0) -> None:
        self.images = images
        self.size = size
        self.seed = seed

    def describe(self) -> Info:
        """Say what the images are."""
        test = round(TEST_FRACTION * self.images)
        return Info((1, self.size, self.size), NAMES, sizes={"train": self.images - test, "test": test})

    def load(self) -> Splits:
        """Draw all images."""
        labels = torch.arange(self.images) % len(NAMES)
        drawn = Images(self._draw(labels), labels)
        train = self.describe().sizes["train"]
        return Splits(train=drawn[:train], test=drawn[train:])

    def _draw(self, labels: Tensor) -> Tensor:
        """Draw an image of each label: pixels (N, 1, H, W), uint8."""
        generator = torch.Generator().manual_seed(self.seed)
        random = torch.rand(4, len(labels), 1, 1, generator=generator)
        radius = self.size * (0.15 + 0.15 * random[0])
        x, y = ((0.35 + 0.3 * position) * self.size for position in random[1:3])
        brightness = 0.5 + 0.5 * random[3]
        axis = torch.arange(self.size) + 0.5
        across, down = (axis - x).abs(), (axis[:, None] - y).abs()
        distances = torch.stack([torch.hypot(across, down), torch.maximum(across, down), across + down])
        distance = distances[labels, torch.arange(len(labels))]
        grey = brightness * (radius - distance + 0.5).clamp(0, 1)  # a soft edge, one pixel wide
        return (255 * grey).round().to(torch.uint8)[:, None]
