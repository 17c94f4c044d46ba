"""A likelihood: the Laplace distribution, whose −log p is the absolute error."""

import math

import torch
from pydantic import PositiveFloat
from torch import Tensor, distributions, nn
from torch.distributions import Distribution, Independent

from vae_exp.errors import ConfigError
from vae_exp.likelihood import Likelihood


class Laplace(Likelihood):
    """log p(x) = Σ −|x − μ|/b − log 2b, with μ = sigmoid(features) and one learned scale b for all pixels.

    Args:
        scale: The initial value of b, in units of the pixel.
        min_scale: A lower limit of b: without it the density has no upper limit, if a pixel is always black.

    Raises:
        ConfigError: `scale` is not above the limit.
    """

    parameters_per_pixel = 1
    density = True
    unbounded = True

    def __init__(self, scale: PositiveFloat = 0.1, min_scale: PositiveFloat = 0.01) -> None:
        super().__init__()
        if scale <= min_scale:
            raise ConfigError(f"likelihood.scale={scale:g}: must be above likelihood.min_scale={min_scale:g}")
        self.min_scale = min_scale
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale - min_scale)))

    @property
    def scale(self) -> Tensor:
        """b, a scalar."""
        return self.min_scale + self.log_scale.exp()

    def forward(self, features: Tensor) -> Distribution:
        """Map features (…, C, H, W) to p(x|z), batch shape (…) and event shape (C, H, W)."""
        return Independent(distributions.Laplace(torch.sigmoid(features), self.scale), 3)

    def diagnostics(self, p: Distribution) -> dict[str, float]:
        """Return the scale, which becomes a column of `metrics.csv`."""
        return {"scale": self.scale.item()}
