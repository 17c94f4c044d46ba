"""Maps from the pixels in memory to x: uint8 pixels to x in [0, 1]; floats are x already, unless they are binarized."""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from vae_exp.dataset.base import Images

Binarization = Literal["none", "threshold", "dynamic", "static"]


def grey(pixels: Tensor) -> Tensor:
    """Return x = pixel/255, or x = pixel for floats."""
    return pixels if pixels.is_floating_point() else pixels.float() / 255


def threshold(pixels: Tensor) -> Tensor:
    """Return x = 1 for pixels of at least half the full brightness, else x = 0."""
    return (grey(pixels) > 0.5).float()


def dynamic(pixels: Tensor) -> Tensor:
    """Draw x ~ Bernoulli(grey(pixel)) at every call."""
    return torch.bernoulli(grey(pixels))


def dequantised(pixels: Tensor) -> Tensor:
    """Draw x = (pixel + u)/256, u ~ U(0, 1), at every call: uniform noise as wide as a level (Theis et al. 2016)."""
    # in steps of 2⁻¹⁶, which float32 adds to 255 exactly: else rounding would reach the next level
    noise = (torch.rand(pixels.shape, device=pixels.device) * 2**16).floor() / 2**16
    return (pixels.float() + noise) / 256


DRAWN = (dynamic, dequantised)
"""The maps that draw random numbers."""

# static binarization is drawn once, by `binarize_once`; its pixels are then 0 or 255
BINARIZE: dict[str, Callable[[Tensor], Tensor]] = {
    "none": grey,
    "threshold": threshold,
    "dynamic": dynamic,
    "static": grey,
}


def binarize_once(images: Images, seed: int) -> Images:
    """Draw binary images with pixels 0 or 255; the probability of 255 is the grey value."""
    drawn = torch.bernoulli(grey(images.pixels), generator=torch.Generator().manual_seed(seed))
    return replace(images, pixels=(255 * drawn).to(torch.uint8))
