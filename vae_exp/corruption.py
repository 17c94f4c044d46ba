"""Corruptions x → x̃ of a denoising autoencoder's input (Vincent et al. 2010, JMLR 11, section 3.2)."""

from abc import ABC, abstractmethod
from typing import Annotated

import torch
from annotated_types import Interval
from pydantic import PositiveFloat
from torch import Tensor, nn

Rate = Annotated[float, Interval(ge=0, lt=1)]


class Corruption(nn.Module, ABC):
    """x̃ ~ C(x̃ | x): images (B, C, H, W) in [0, 1] to images of the same shape."""

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """One corrupted copy of each image."""


class Masking(Corruption):
    """Each pixel is set to 0 with probability `rate`.

    So their number varies from image to image. Vincent et al. choose the pixels at random too, but always as many.
    """

    def __init__(self, rate: Rate = 0.25) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """One corrupted copy of each image."""
        return x * (torch.rand_like(x) >= self.rate)


class SaltAndPepper(Corruption):
    """Each pixel is set, with probability `rate`, to 0 or 1 by the flip of a fair coin.

    As in `Masking` their number varies from image to image; that of Vincent et al. does not.
    """

    def __init__(self, rate: Rate = 0.25) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """One corrupted copy of each image."""
        u = torch.rand_like(x)
        return torch.where(u < self.rate, (u < self.rate / 2).to(x.dtype), x)


class GaussianNoise(Corruption):
    """x̃ ~ N(x, std²·I), not clipped: the encoder may see values outside [0, 1]."""

    def __init__(self, std: PositiveFloat = 0.3) -> None:
        super().__init__()
        self.std = std

    def forward(self, x: Tensor) -> Tensor:
        """One corrupted copy of each image."""
        return x + self.std * torch.randn_like(x)
