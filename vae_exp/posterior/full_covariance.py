"""Normal posteriors whose latents are correlated."""

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from vae_exp.likelihood import check_support
from vae_exp.posterior.base import NormalFamily, PosteriorFamily
from vae_exp.posterior.triangular import Triangular
from vae_exp.prior.base import ReparameterisedNormal, Shape
from vae_exp.prior.normal import LOG_2_PI, is_normal


class FullCovariance(PosteriorFamily, NormalFamily):
    """q(z|x) = N(μ(x), L(x)L(x)ᵀ) with a lower triangular L, whose diagonal is exp(s/2) > 0 (arXiv 1906.02691, 2.5.1).

    The features are μ, s and the entries of L below the diagonal. KL(q‖p) is in closed form for p = N(0, I).

    Args:
        latent_dim: Size of z.
    """

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.below = Triangular(latent_dim, upper=False)
        self._sizes = [latent_dim, latent_dim, self.below.features]
        self.features = sum(self._sizes)

    def forward(self, features: Tensor) -> "CorrelatedNormal":
        """Map features (B, latent_dim·(latent_dim + 3)/2) to q(z|x)."""
        loc, s, below = features.split(self._sizes, -1)
        return CorrelatedNormal(loc, s, self.below(below))


class CorrelatedNormal(ReparameterisedNormal):
    """N(μ, LLᵀ): batch shape (B,), event (D,).

    Args:
        loc: μ, (B, D).
        s: The log of the square of L's diagonal, (B, D): the log variance of each latent given those before it.
        below: The entries of L below its diagonal; the others are 0, (B, D, D).
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}
    support = constraints.real_vector

    def __init__(self, loc: Tensor, s: Tensor, below: Tensor) -> None:
        self.loc, self.s, self.below = loc, s, below
        self.tril = below + torch.diag_embed(torch.exp(0.5 * s))
        super().__init__(loc.shape[:-1], loc.shape[-1:])

    @property
    def mean(self) -> Tensor:
        """μ, (B, D)."""
        return self.loc

    def detach(self) -> "CorrelatedNormal":
        """Return the same distribution with constants as parameters."""
        return CorrelatedNormal(self.loc.detach(), self.s.detach(), self.below.detach())

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        """Draw z = μ + Lε, (*sample_shape, B, D)."""
        return self.rsample_and_log_prob(sample_shape)[0]

    def rsample_and_log_prob(self, sample_shape: Shape = ()) -> tuple[Tensor, Tensor]:
        """Draw z, and compute log q(z) = Σ (−½ε² − ½s − ½ log 2π), (*sample_shape, B)."""
        noise = torch.randn((*sample_shape, *self.loc.shape), dtype=self.loc.dtype, device=self.loc.device)
        z = self.loc + (self.tril @ noise[..., None]).squeeze(-1)
        return z, -0.5 * (noise.square() + self.s + LOG_2_PI).sum(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        """Compute log q(z), (…, B), at any z (…, B, D)."""
        check_support(self, value)
        unit = torch.eye(self.loc.shape[-1], dtype=self.loc.dtype, device=self.loc.device)
        whiten = torch.linalg.solve_triangular(self.tril, unit, upper=False)
        noise: Tensor = (whiten @ (value - self.loc)[..., None]).squeeze(-1)
        return -0.5 * (noise.square() + self.s + LOG_2_PI).sum(-1)

    def closed_log_variance(self) -> Tensor:
        """Compute log (LLᵀ)_ii, (B, D)."""
        log_variance: Tensor = self.tril.square().sum(-1).log()
        return log_variance

    def closed_kl(self, p: Distribution) -> Tensor | None:
        """Compute KL(q‖p), (B,), if p is a normal with independent components; otherwise None.

        For p = N(0, I) it is ½ Σ_ij L_ij² + ½ Σ μ² − ½ Σ (1 + s).
        """
        if not is_normal(p):
            return None
        std = p.stddev
        s = self.s - 2 * std.log()
        off_diagonal = (self.below / std[:, None]).square().sum((-2, -1))
        # 1 − exp(s) is computed by expm1, as in `kl_per_latent`
        kl: Tensor = 0.5 * ((s.expm1() - s).sum(-1) + off_diagonal + ((self.loc - p.mean) / std).square().sum(-1))
        return kl

    @property
    def tractable(self) -> "CorrelatedNormal":
        """The distribution itself."""
        return self
