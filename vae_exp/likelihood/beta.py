"""The Beta likelihood."""

import math
from typing import Annotated, ClassVar

import torch
from annotated_types import Gt
from torch import Size, Tensor
from torch.distributions import Distribution, Gamma, Independent, constraints

from vae_exp.likelihood.base import Likelihood, check_support

HALF_LEVEL = 0.5 / 255
"""Half the distance of two levels: x = 0 and 1 are the centres of cells, so the cells reach beyond them by this."""

SERIES_FROM = 10.0
"""From here on a power series gives what log Γ has above Stirling's formula; the closed form loses digits there."""

NEAR = 0.9
"""A concentration is near its limit above this share of it."""


class BetaDensity(Distribution):
    """p(x) = (255/256)·u^(α−1)·(1−u)^(β−1)/B(α, β) at u = (255x + ½)/256, the centre of a pixel's cell.

    With x itself, the density of a black pixel would be 0 or infinite, unless α = 1. The map to u is that of Smithson
    and Verkuilen (2006, Psychological Methods 11) for 256 levels. The support is therefore −½/255 < x < 1 + ½/255.

    Args:
        log_alpha: log α, any shape.
        log_beta: log β, of the same shape.
    """

    arg_constraints: ClassVar = {"log_alpha": constraints.real, "log_beta": constraints.real}
    support = constraints.interval(-HALF_LEVEL, 1 + HALF_LEVEL)
    has_rsample = True

    def __init__(self, log_alpha: Tensor, log_beta: Tensor, validate_args: bool | None = None) -> None:
        self.log_alpha, self.log_beta = log_alpha, log_beta
        super().__init__(log_alpha.shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        """E[x], from E[u] = α/(α+β)."""
        return _pixel(torch.sigmoid(self.log_alpha - self.log_beta))

    def log_prob(self, value: Tensor) -> Tensor:
        """Compute the log density, in nats per pixel.

        With m = α/(α+β) and log Γ(z) = (z − ½)·log z − z + ½·log 2π + δ(z), equal large terms cancel on paper:

            log p = α·log(u/m) + β·log((1−u)/(1−m)) − log u(1−u) + ½·log(αβ/2π(α+β)) + δ(α+β) − δ(α) − δ(β) + log c

        where c = 255/256.

        Raises:
            ValueError: A value lies outside the support.
        """
        check_support(self, value)
        u = (255 * value + 0.5) / 256
        log_u, log_rest = u.log(), (-u).log1p()
        a, b = self.log_alpha, self.log_beta
        total = torch.logaddexp(a, b)
        deviance = a.exp() * (log_u - (a - total)) + b.exp() * (log_rest - (b - total))
        scale = 0.5 * (a + b - total - math.log(2 * math.pi))
        stirling = _beyond_stirling(total) - _beyond_stirling(a) - _beyond_stirling(b)
        return deviance - log_u - log_rest + scale + stirling + math.log(255 / 256)

    def rsample(self, sample_shape: Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Draw x, (*sample_shape, …): u = g/(g + h) with g, h of Gamma distributions, from their logarithms."""
        log_odds = self._log_gamma(self.log_alpha, sample_shape) - self._log_gamma(self.log_beta, sample_shape)
        smallest = 1e-6  # u = 0 and 1 have no density; this is a quarter of a thousandth of a cell
        return _pixel(torch.sigmoid(log_odds).clamp(smallest, 1 - smallest))

    @staticmethod
    def _log_gamma(log_shape: Tensor, sample_shape: Size | list[int] | tuple[int, ...]) -> Tensor:
        """Draw log g with g ~ Gamma(α, 1) as log g' + log(U)/α with g' ~ Gamma(α + 1, 1): a small g has no digits."""
        larger = Gamma(log_shape.exp() + 1, torch.ones_like(log_shape)).rsample(Size(sample_shape))
        exponential = -torch.rand_like(larger).clamp(min=torch.finfo(larger.dtype).tiny).log()
        return larger.log() - exponential * (-log_shape).clamp(max=60).exp()


class Beta(Likelihood):
    """A Beta density for pixels in [0, 1], with the two features f of a pixel as log α and log β.

    Both have the limit c: α = 1/(e^(−f₁) + 1/c), and so β. All features 0 are nearly the uniform density, α = β ≈ 1.
    Without a limit, log p would grow without bound where a pixel takes few values. It is smooth, so no gradient is
    zero at it. log p(x|z) is a log density in nats per image, of the pixels' cells (`BetaDensity`).

    Args:
        max_concentration: c. At α = β = c = 1250 the standard deviation is 0.01, as the floor of a Gaussian.
    """

    parameters_per_pixel = 2
    density = True
    unbounded = True

    def __init__(self, max_concentration: Annotated[float, Gt(1)] = 1250.0) -> None:
        super().__init__()
        self.max_concentration = max_concentration

    def forward(self, features: Tensor) -> Distribution:
        """Map features (…, 2·C, H, W) to p(x|z), batch shape (…) and event shape (C, H, W)."""
        lowest = features.new_full((), -math.log(self.max_concentration))
        log_alpha, log_beta = (-torch.logaddexp(-features, lowest)).chunk(2, dim=-3)
        return Independent(BetaDensity(log_alpha, log_beta), 3)

    def diagnostics(self, p: Distribution) -> dict[str, float]:
        """Compute `share_near_max_concentration`, the share of pixels with α or β above 0.9·c."""
        assert isinstance(p, Independent)
        density = p.base_dist
        assert isinstance(density, BetaDensity)
        largest = torch.maximum(density.log_alpha, density.log_beta)
        near = largest > math.log(NEAR * self.max_concentration)
        return {"share_near_max_concentration": near.double().mean().item()}


def _pixel(u: Tensor) -> Tensor:
    """Map u in (0, 1) to x, so that u = ½/256 is x = 0."""
    return (256 * u - 0.5) / 255


def _beyond_stirling(log_z: Tensor) -> Tensor:
    """δ(z) = log Γ(z) − (z − ½)·log z + z − ½·log 2π, from log z."""
    large = log_z > math.log(SERIES_FROM)
    # each branch has a harmless number where the other one is used: its NaN would reach the gradient
    small_log, z = torch.where(large, 0.0, log_z), torch.where(large, log_z, math.log(SERIES_FROM)).exp()
    small = small_log.exp()
    closed = torch.lgamma(1 + small) - (small + 0.5) * small_log + small - 0.5 * math.log(2 * math.pi)
    s = 1 / z.square()
    series = (1 / 12 - s * (1 / 360 - s * (1 / 1260 - s * (1 / 1680 - s / 1188)))) / z
    return torch.where(large, series, closed)
