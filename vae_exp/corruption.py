"""Corruptions x → x̃ of the input of a denoising autoencoder (Vincent et al. 2010, JMLR 11, section 3.2)."""

from abc import ABC, abstractmethod
from typing import Annotated

import torch
from annotated_types import Interval
from pydantic import PositiveFloat
from torch import Tensor, nn

Rate = Annotated[float, Interval(ge=0, lt=1)]


class Corruption(nn.Module, ABC):
    """x̃ ~ C(x̃ | x): maps images (B, C, H, W) in [0, 1] to images of the same shape."""

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Return one corrupted copy of each image."""


class Masking(Corruption):
    """Set each pixel to 0 with probability `rate`.

    The number of these pixels varies between images. Vincent et al. choose random pixels too, but a fixed number.
    """

    def __init__(self, rate: Rate = 0.25) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Return one corrupted copy of each image."""
        return x * (torch.rand(x.shape, dtype=x.dtype, device=x.device) >= self.rate)


class SaltAndPepper(Corruption):
    """Set each pixel, with probability `rate`, to 0 or 1 with equal probability.

    As in `Masking`, the number of these pixels varies between images. In Vincent et al. it is fixed.
    """

    def __init__(self, rate: Rate = 0.25) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Return one corrupted copy of each image."""
        u = torch.rand(x.shape, dtype=x.dtype, device=x.device)
        return torch.where(u < self.rate, (u < self.rate / 2).to(x.dtype), x)


class GaussianNoise(Corruption):
    """Draw x̃ ~ N(x, std²·I). It is not clipped: the encoder may see values outside [0, 1]."""

    def __init__(self, std: PositiveFloat = 0.3) -> None:
        super().__init__()
        self.std = std

    def forward(self, x: Tensor) -> Tensor:
        """Return one corrupted copy of each image."""
        return x + self.std * torch.randn(x.shape, dtype=x.dtype, device=x.device)
