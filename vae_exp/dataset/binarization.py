"""Maps from uint8 pixels to x in [0, 1]."""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from vae_exp.dataset.base import Images

Binarization = Literal["none", "threshold", "dynamic", "static"]


def grey(pixels: Tensor) -> Tensor:
    """Return x = pixel/255."""
    return pixels.float() / 255


def threshold(pixels: Tensor) -> Tensor:
    """Return x = 1 for pixels of at least half the full brightness, else x = 0."""
    return (pixels > 127).float()


def dynamic(pixels: Tensor) -> Tensor:
    """Draw x ~ Bernoulli(pixel/255) at every call."""
    return torch.bernoulli(grey(pixels))


# static binarization is drawn once, by `binarize_once`; its pixels are then 0 or 255
BINARIZE: dict[str, Callable[[Tensor], Tensor]] = {
    "none": grey,
    "threshold": threshold,
    "dynamic": dynamic,
    "static": grey,
}


def binarize_once(images: Images, seed: int) -> Images:
    """Draw binary images with pixels 0 or 255; the probability of 255 is pixel/255."""
    drawn = torch.bernoulli(grey(images.pixels), generator=torch.Generator().manual_seed(seed))
    return replace(images, pixels=(255 * drawn).to(torch.uint8))
