"""The continuous Bernoulli likelihood."""

from typing import ClassVar

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, Independent, constraints

from vae_exp.likelihood.base import Likelihood, check_support

SERIES_BELOW = 0.25
"""Below this |h| power series are used: the closed forms subtract nearly equal numbers there."""

Shape = Size | list[int] | tuple[int, ...]
"""The shape of a batch or of a set of draws."""


class ContinuousBernoulliDensity(Distribution):
    """p(x) = η·exp(ηx)/(exp(η) − 1) on [0, 1], with η the logits (Loaiza-Ganem and Cunningham 2019, arXiv 1907.06845).

    It is the Bernoulli's λ^x (1 − λ)^(1−x) with λ = sigmoid(η), divided by its integral. With h = η/2,

        log p(x) = η(x − ½) − log(sinh(h)/h),   E[x] = ½ + ½(coth(h) − 1/h).

    The uniform distribution is η = 0.

    Args:
        logits: η, any shape.
    """

    arg_constraints: ClassVar = {"logits": constraints.real}
    support = constraints.unit_interval
    has_rsample = True

    def __init__(self, logits: Tensor, validate_args: bool | None = None) -> None:
        self.logits = logits
        super().__init__(logits.shape, validate_args=validate_args)

    def expand(self, batch_shape: Shape, _instance: object = None) -> "ContinuousBernoulliDensity":
        """Return the same distribution with a larger batch shape."""
        return ContinuousBernoulliDensity(self.logits.expand(batch_shape), validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Compute the log density, in nats per pixel.

        Raises:
            ValueError: A value lies outside [0, 1].
        """
        check_support(self, value)
        return self.logits * (value - 0.5) - _log_sinhc(self.logits / 2)

    @property
    def mean(self) -> Tensor:
        """E[x]."""
        h = self.logits / 2
        small, large = _branches(h)
        s = small.square()
        series = small * (1 / 3 - s * (1 / 45 - s * (2 / 945 - s * (1 / 4725 - s * (2 / 93555)))))
        return 0.5 + 0.5 * torch.where(h.abs() < SERIES_BELOW, series, 1 / large.tanh() - 1 / large)

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        """Draw by the inverse of the distribution function, which is differentiable in the logits."""
        u = torch.rand((*sample_shape, *self.logits.shape), dtype=self.logits.dtype, device=self.logits.device)
        size = self.logits.abs().clamp(min=1e-6)  # below it the distribution is uniform, up to rounding
        x = 1 + (u + (1 - u) * (-size).exp()).log() / size
        return torch.where(self.logits < 0, 1 - x, x).clamp(0, 1)


class ContinuousBernoulli(Likelihood):
    """A normalised density for pixels in [0, 1] with one parameter per pixel (arXiv 1907.06845).

    log p(x|z) is a log density in nats per image, so it may be positive, and it cannot be compared with a Bernoulli's.
    It has no upper limit if pixels are exactly 0 or 1.
    """

    parameters_per_pixel = 1
    density = True
    unbounded = True

    def forward(self, features: Tensor) -> Distribution:
        """Map features (…, C, H, W), the logits, to p(x|z), batch shape (…) and event shape (C, H, W)."""
        return Independent(ContinuousBernoulliDensity(features), 3)

    def diagnostics(self, p: Distribution) -> dict[str, float]:
        """Return the mean of |logits|: it grows without limit if pixels are exactly 0 or 1."""
        assert isinstance(p, Independent)
        density = p.base_dist
        assert isinstance(density, ContinuousBernoulliDensity)
        return {"mean_abs_logit": density.logits.abs().mean().item()}


def _log_sinhc(h: Tensor) -> Tensor:
    """log(sinh(h)/h)."""
    small, large = _branches(h)
    s = small.square()
    series = s * (1 / 6 - s * (1 / 180 - s * (1 / 2835 - s * (1 / 37800 - s * (1 / 467775)))))
    size = large.abs()
    return torch.where(h.abs() < SERIES_BELOW, series, size + torch.log1p(-torch.exp(-2 * size)) - (2 * size).log())


def _branches(h: Tensor) -> tuple[Tensor, Tensor]:
    """h for the series and h for the closed form, each replaced where the other one is used.

    Without this, a NaN or infinity of the branch that is not used would reach the gradient.
    """
    small = h.abs() < SERIES_BELOW
    return torch.where(small, h, 0.0), torch.where(small, 1.0, h)
