"""Likelihoods that are a location and a scale per pixel, with heavier tails than a Gaussian: Laplace and Student."""

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Literal

import torch
from pydantic import PositiveFloat
from torch import Tensor, nn
from torch.distributions import Distribution, Independent

from vae_exp.errors import ConfigError
from vae_exp.likelihood.base import Likelihood
from vae_exp.likelihood.floor import ROUNDING, PulledUp
from vae_exp.likelihood.gaussian import MEAN_FUNCTIONS

Width = Literal["learned", "shared", "fixed"]
"""Whether the decoder gives a scale for each pixel, or one scalar is learned, or none is."""


class LocationScale(Likelihood):
    """p(x|z) = Π f((x − μ)/s)/s with a density f of its own, by default μ = sigmoid(features), and log s a feature.

    A learned s lets log p grow without limit where a pixel takes few values. Therefore s has a floor, and in training
    `PulledUp` raises an s below it. In evaluation mode the gradient is the true gradient of log p.

    Args:
        width: `learned`: the decoder gives s for each pixel. `shared`: one learned scalar. `fixed`: `scale`.
        scale: The fixed s, or the initial value of the shared s; in units of the pixel, [0, 1].
        min_scale: The floor of s.
        mean: `sigmoid` of the features, which lies in [0, 1] like the pixels, or the features themselves (`identity`).

    Raises:
        ConfigError: `scale` lies below the floor.
    """

    density = True

    def __init__(
        self,
        width: Width = "learned",
        scale: PositiveFloat = 1.0,
        min_scale: PositiveFloat = 0.01,
        mean: Literal["sigmoid", "identity"] = "sigmoid",
    ) -> None:
        super().__init__()
        if width != "learned" and scale < min_scale:
            raise ConfigError(f"likelihood.scale={scale:g}: lies below its floor, likelihood.min_scale={min_scale:g}")
        self.parameters_per_pixel = 2 if width == "learned" else 1
        self.unbounded = width != "fixed"
        self.support = "real" if mean == "identity" else "unit"
        self.min_scale = min_scale
        self.mean: Callable[[Tensor], Tensor] = MEAN_FUNCTIONS[mean]
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)), requires_grad=width == "shared")

    def forward(self, features: Tensor) -> Distribution:
        """Map features (…, parameters_per_pixel·C, H, W) to p(x|z), batch shape (…) and event shape (C, H, W)."""
        maps = features.chunk(self.parameters_per_pixel, dim=-3)
        log_scale = maps[1] if len(maps) == 2 else self.log_scale
        unlimited = log_scale.exp()
        loc, scale = self.mean(maps[0]), unlimited.clamp(min=self.min_scale)
        p = self._density(loc, scale)
        if not (self.training and self.unbounded):
            return Independent(p, 3)

        def slope(x: Tensor) -> Tensor:
            return self._slope((x - loc) / scale)

        return Independent(PulledUp(p, log_scale, unlimited < self.min_scale, slope), 3)

    def diagnostics(self, p: Distribution) -> dict[str, float]:
        """Compute `share_at_min_scale`, the share of pixels whose s is at its floor, up to rounding."""
        assert isinstance(p, Independent)
        density: Any = p.base_dist.p if isinstance(p.base_dist, PulledUp) else p.base_dist
        return {"share_at_min_scale": (density.scale <= self.min_scale * (1 + ROUNDING)).double().mean().item()}

    @abstractmethod
    def _density(self, loc: Tensor, scale: Tensor) -> Distribution:
        """Return the density of each pixel. It has the attribute `scale`."""

    @abstractmethod
    def _slope(self, r: Tensor) -> Tensor:
        """Compute ∂ log p(x)/∂ log s from r = (x − μ)/s."""
