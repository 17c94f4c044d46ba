"""The Gaussian likelihood."""

import math
from collections.abc import Callable
from typing import Literal

import torch
from pydantic import PositiveFloat
from torch import Tensor, distributions, nn
from torch.distributions import Distribution, Independent

from vae_exp.errors import ConfigError
from vae_exp.likelihood.base import Likelihood
from vae_exp.likelihood.floor import ROUNDING, PulledUp

MEAN_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "identity": lambda features: features,
}


class Gaussian(Likelihood):
    """N(x; μ, σ²) per pixel, by default μ = sigmoid(features) (arXiv 1312.6114, eq. 12 and appendix C.2).

    A continuous density has no upper bound: a pixel that is always black lets σ → 0 and log p → ∞. Therefore σ has a
    floor. In training, `PulledUp` raises a σ that fell below it. In evaluation mode the gradient is the true gradient
    of log p, which is zero below the floor: Hamiltonian Monte Carlo and annealed importance sampling need it.

    Args:
        variance: `learned`: the decoder gives one for each pixel (the paper). `shared`: one learned scalar. `fixed`:
            −log p is the squared error over 2·std², up to a constant.
        std: The fixed σ, or the initial value of the shared σ; in units of the pixel, [0, 1].
        min_std: The floor of σ.
        mean: `sigmoid` of the features, which lies in [0, 1] like the pixels, or the features themselves (`identity`).

    Raises:
        ConfigError: `std` lies below the floor.
    """

    parameters_per_pixel = 2
    density = True

    def __init__(
        self,
        variance: Literal["learned", "shared", "fixed"] = "learned",
        std: PositiveFloat = 1.0,
        min_std: PositiveFloat = 0.01,
        mean: Literal["sigmoid", "identity"] = "sigmoid",
    ) -> None:
        super().__init__()
        self.parameters_per_pixel = 2 if variance == "learned" else 1
        if variance != "learned" and std < min_std:
            raise ConfigError(f"likelihood.std={std:g}: lies below the floor of σ, likelihood.min_std={min_std:g}")
        self.unbounded = variance != "fixed"
        self.support = "real" if mean == "identity" else "unit"
        self.min_std = min_std
        self.mean: Callable[[Tensor], Tensor] = MEAN_FUNCTIONS[mean]
        log_variance = torch.tensor(2 * math.log(std))
        self.log_variance = nn.Parameter(log_variance, requires_grad=variance == "shared")

    def forward(self, features: Tensor) -> Distribution:
        """Map features (…, parameters_per_pixel·C, H, W) to p(x|z), batch shape (…) and event shape (C, H, W)."""
        maps = features.chunk(self.parameters_per_pixel, dim=-3)
        log_variance = maps[1] if len(maps) == 2 else self.log_variance
        std = torch.exp(0.5 * log_variance)
        p = distributions.Normal(self.mean(maps[0]), std.clamp(min=self.min_std))
        if not (self.training and self.unbounded):
            return Independent(p, 3)

        def slope(x: Tensor) -> Tensor:
            return 0.5 * (((x - p.mean) / p.stddev).square() - 1)

        return Independent(PulledUp(p, log_variance, std < self.min_std, slope), 3)

    def diagnostics(self, p: Distribution) -> dict[str, float]:
        """Compute `share_at_min_std`, the share of pixels whose σ is at its floor, up to rounding."""
        return {"share_at_min_std": (p.stddev <= self.min_std * (1 + ROUNDING)).double().mean().item()}
