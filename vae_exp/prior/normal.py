"""Normal distributions with independent components, and the KL divergence between them."""

import math
from typing import TYPE_CHECKING, Any, ClassVar, TypeGuard

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, Independent, Normal, constraints

from vae_exp.likelihood import check_support
from vae_exp.prior.base import ReparameterisedNormal, Shape

if TYPE_CHECKING:
    Normals = Independent[Normal]
else:  # PyTorch's class is generic for type checkers only
    Normals = Independent
"""A normal with independent components: event (latent_dim,)."""

LOG_2_PI = math.log(2 * math.pi)


class DiagonalNormal(ReparameterisedNormal):
    """N(μ, diag σ²), parametrised by log σ²: batch shape (…), event (D,).

    Densities are computed from log σ², never from σ²: float32 rounds σ² to 0 if log σ² is below −104. The log density
    of a draw z = μ + σε is computed from ε: if σ is much smaller than |μ|, rounding has removed ε from z.

    Args:
        loc: μ, (…, D).
        log_variance: log σ², (…, D).
    """

    arg_constraints: ClassVar[dict[str, Any]] = {
        "loc": constraints.real_vector,
        "log_variance": constraints.real_vector,
    }
    support = constraints.real_vector

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

    def detach(self) -> "DiagonalNormal":
        """Return the same distribution with constants as parameters: its density has a derivative in z alone."""
        return DiagonalNormal(self.loc.detach(), self.log_variance.detach())

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        """Draw z = μ + σε, (*sample_shape, …, D), differentiable in μ and log σ²."""
        return self._draw(sample_shape)[0]

    def rsample_and_log_prob(self, sample_shape: Shape = ()) -> tuple[Tensor, Tensor]:
        """Draw z, (*sample_shape, …, D), and compute log q(z) = Σ (−½ε² − ½ log σ² − ½ log 2π), (*sample_shape, …)."""
        z, noise = self._draw(sample_shape)
        return z, -0.5 * (noise.square() + self.log_variance + LOG_2_PI).sum(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        """Compute log q(z) for any z (…, D). For its own draws `rsample_and_log_prob` is more exact."""
        check_support(self, value)
        standardised = (value - self.loc) * torch.exp(-0.5 * self.log_variance)
        return -0.5 * (standardised.square() + self.log_variance + LOG_2_PI).sum(-1)

    def entropy(self) -> Tensor:
        """Compute the entropy Σ ½ (1 + log σ² + log 2π), (…), in nats."""
        return 0.5 * (1 + LOG_2_PI + self.log_variance).sum(-1)

    def closed_log_variance(self) -> Tensor:
        """Return log σ², (…, D)."""
        return self.log_variance

    def closed_kl(self, p: Distribution) -> Tensor | None:
        """Compute KL(q‖p), (…), if p is a normal with independent components; otherwise None."""
        return kl_of_normals(self, p) if is_normal(p) else None

    @property
    def tractable(self) -> "DiagonalNormal":
        """The distribution itself."""
        return self

    def _draw(self, sample_shape: Shape) -> tuple[Tensor, Tensor]:
        """Draw ε, and return z = μ + σε and ε."""
        shape = Size((*sample_shape, *self.loc.shape))
        noise = torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device)
        return self.loc + noise * self.stddev, noise


def is_normal(p: Distribution) -> TypeGuard[Normals]:
    """Tell whether a distribution is a normal with independent components, event (latent_dim,)."""
    return isinstance(p, Independent) and isinstance(p.base_dist, Normal)


def kl_of_normals(q: DiagonalNormal, p: Normals) -> Tensor:
    """Compute KL(q‖p) of normals with independent components, (B,) in nats.

    For p = N(0, I) it is −½ Σ (1 + log σ² − μ² − σ²) (arXiv 1312.6114, eq. 10 and appendix B).
    """
    return kl_per_latent(q, p).sum(-1)


def kl_per_latent(q: DiagonalNormal, p: Normals) -> Tensor:
    """Compute the KL of every component, (B, latent_dim) in nats. Their sum is `kl_of_normals`."""
    log_ratio = q.log_variance - 2 * p.stddev.log()
    # 1 − σ² is computed by expm1 of log σ²: if q is close to the prior, the plain difference would be rounding error
    kl: Tensor = -0.5 * (log_ratio - log_ratio.expm1() - (q.mean - p.mean).square() / p.variance)
    return kl
