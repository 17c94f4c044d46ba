"""Standardised pixels, and the constant that gives densities of the original pixels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

import torch
from torch import Tensor

from vae_exp.dataset.base import Images
from vae_exp.errors import DataError

COLUMNS = 10
"""Constant columns that a message names."""


@dataclass(frozen=True)
class Standardisation:
    """x' = (x − mean)/std, per pixel.

    Args:
        mean: The mean of every pixel over the training images, (C, H, W) float64.
        std: Its standard deviation, (C, H, W) float64, above 0.
    """

    mean: Tensor
    std: Tensor

    @property
    def log_jacobian(self) -> float:
        """log |∂x'/∂x| = −Σ log std, in nats per image: log p(x) = log p'(x') + log |∂x'/∂x|."""
        return -self.std.log().sum().item()

    def apply(self, images: Images) -> Images:
        """Standardise images; the result is float32."""
        pixels = (images.pixels.double() - self.mean.to(images.pixels.device)) / self.std.to(images.pixels.device)
        return Images(pixels.float(), images.labels)

    def invert(self, x: Tensor) -> Tensor:
        """Return standardised pixels (…, C, H, W) to the original units, float64."""
        return x.double() * self.std.to(x.device) + self.mean.to(x.device)

    def state(self) -> dict[str, Tensor]:
        """Return what a checkpoint keeps."""
        return {"mean": self.mean, "std": self.std}


def fit_standardisation(train: Images) -> Standardisation:
    """Compute the mean and standard deviation of every pixel of the training images.

    Raises:
        DataError: A pixel has the same value in all training images: a density of it would have no upper limit.
    """
    pixels = train.pixels.double()
    constant = (pixels.amax(0) == pixels.amin(0)).nonzero().tolist()
    if constant:
        columns = constant[0][:2] == [0, 0] and tuple(pixels.shape[1:3]) == (1, 1)
        places = [str(place[2]) if columns else str(tuple(place)) for place in constant[:COLUMNS]]
        kind = "columns" if columns else "pixels (channel, row, column)"
        raise DataError(
            f"dataset.source.standardise=true: {len(constant)} {kind} are constant over the training images, so they "
            f"have no standard deviation: {', '.join(places)}{', …' if len(constant) > COLUMNS else ''} (counted from "
            "0). Leave them out of the file"
        )
    return Standardisation(pixels.mean(0), pixels.std(0, correction=0))


def restored(state: Any, shape: tuple[int, int, int]) -> Standardisation | None:
    """Return the standardisation that a checkpoint keeps; None if it keeps none that is valid for this shape."""
    if not isinstance(state, Mapping):
        return None
    mean, std = state.get("mean"), state.get("std")
    if not (_fits(mean, shape) and _fits(std, shape) and bool((std > 0).all())):
        return None
    return Standardisation(mean, std)


def _fits(value: Any, shape: tuple[int, int, int]) -> TypeGuard[Tensor]:
    dense = isinstance(value, Tensor) and value.layout == torch.strided
    return dense and value.dtype == torch.float64 and tuple(value.shape) == shape
