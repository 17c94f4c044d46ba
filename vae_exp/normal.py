"""The normal with independent components, by its log variance."""

import math
from typing import Any, ClassVar

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints

LOG_2_PI = math.log(2 * math.pi)

Shape = Size | list[int] | tuple[int, ...]
"""Of draws."""


class DiagonalNormal(Distribution):
    """N(μ, diag σ²), parametrised by log σ²: batch shape (…), event (D,).

    Densities are functions of log σ², never of σ², which float32 rounds to 0 from log σ² = −104 on. The log density
    of a draw z = μ + σε is a function of ε: where σ is much smaller than |μ|, z has lost it by rounding.

    Args:
        loc: μ, (…, D).
        log_variance: log σ², (…, D).
    """

    arg_constraints: ClassVar[dict[str, Any]] = {
        "loc": constraints.real_vector,
        "log_variance": constraints.real_vector,
    }
    support = constraints.real_vector
    has_rsample = True

    loc: Tensor
    log_variance: Tensor

    def __init__(self, loc: Tensor, log_variance: Tensor) -> None:
        self.loc, self.log_variance = torch.broadcast_tensors(loc, log_variance)
        super().__init__(self.loc.shape[:-1], self.loc.shape[-1:])

    @property
    def mean(self) -> Tensor:
        """μ, (…, D)."""
        return self.loc

    @property
    def stddev(self) -> Tensor:
        """σ, (…, D)."""
        return torch.exp(0.5 * self.log_variance)

    @property
    def variance(self) -> Tensor:
        """σ², (…, D)."""
        return self.log_variance.exp()

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        """Draws z = μ + σε, (*sample_shape, …, D), differentiable in μ and log σ²."""
        return self._draw(sample_shape)[0]

    def rsample_and_log_prob(self, sample_shape: Shape = ()) -> tuple[Tensor, Tensor]:
        """Draws z, (*sample_shape, …, D), and log q(z) = Σ (−½ε² − ½ log σ² − ½ log 2π), (*sample_shape, …)."""
        z, noise = self._draw(sample_shape)
        return z, -0.5 * (noise.square() + self.log_variance + LOG_2_PI).sum(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        """log q(z), of any z (…, D): for own draws `rsample_and_log_prob` knows it more exactly."""
        if self._validate_args:
            self._validate_sample(value)
        standardised = (value - self.loc) * torch.exp(-0.5 * self.log_variance)
        return -0.5 * (standardised.square() + self.log_variance + LOG_2_PI).sum(-1)

    def entropy(self) -> Tensor:
        """Σ ½ (1 + log σ² + log 2π), (…), nats."""
        return 0.5 * (1 + LOG_2_PI + self.log_variance).sum(-1)

    def _draw(self, sample_shape: Shape) -> tuple[Tensor, Tensor]:
        """z = μ + σε, and ε."""
        shape = Size((*sample_shape, *self.loc.shape))
        noise = torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device)
        return self.loc + noise * self.stddev, noise
