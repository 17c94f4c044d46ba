"""Mixtures as priors."""

import math
from typing import Any, ClassVar

import torch
from pydantic import PositiveInt
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, constraints

from vae_exp.likelihood import check_support
from vae_exp.network import Shape as ImageShape
from vae_exp.prior.base import Encode, Points, Prior, Reparameterised, Shape
from vae_exp.prior.normal import DiagonalNormal


class MixtureOf(Distribution):
    """p(z) = Σ_k π_k p_k(z): batch shape (), event (D,).

    Args:
        log_weights: log π, (K,).
        components: p_k, batch (K,) and event (D,), with a density that is known at any z.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}
    support = constraints.real_vector

    def __init__(self, log_weights: Tensor, components: Reparameterised) -> None:
        self.log_weights, self.components = log_weights, components
        super().__init__(torch.Size(), components.event_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """Compute log Σ_k π_k p_k(z), (…), of latents (…, D)."""
        check_support(self, value)
        return (self.log_weights + self.components.log_prob(value[..., None, :])).logsumexp(-1)

    @torch.no_grad()
    def sample(self, sample_shape: Shape = ()) -> Tensor:
        """Draw z, (*sample_shape, D)."""
        count = math.prod(sample_shape)
        k = Categorical(logits=self.log_weights).sample((count,))
        rank = _rank(k, len(self.log_weights))
        draws = self.components.sample((int(rank.max()) + 1 if count else 0,))
        return draws[rank, k].unflatten(0, (*sample_shape,)) if sample_shape else draws[rank, k][0]


def _rank(k: Tensor, components: int) -> Tensor:
    """Count, for each of the draws (N,), the earlier ones with the same component."""
    order = k.argsort(stable=True)
    first = torch.searchsorted(k[order], torch.arange(components, device=k.device))
    rank = torch.empty_like(k)
    rank[order] = torch.arange(len(k), device=k.device) - first[k[order]]
    return rank


class Mixture(Prior):
    """p(z) = Σ_k π_k N(z; μ_k, diag σ_k²), all of them learned (e.g. Dilokthanakul et al. 2016, arXiv 1611.02648).

    At first, π is uniform, μ_k ~ N(0, I) and σ = 1. KL(q‖p) has no closed form, and is estimated from draws.

    Args:
        latent_dim: Size of z.
        shape: (C, H, W) of an image.
        components: K.
    """

    def __init__(self, latent_dim: int, shape: ImageShape, components: PositiveInt = 10) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(components))
        self.loc = Points(torch.randn(components, latent_dim))
        self.log_variance = Points(torch.zeros(components, latent_dim))

    def forward(self, encode: Encode) -> MixtureOf:
        """Return the mixture, event (latent_dim,)."""
        return MixtureOf(self.logits.log_softmax(0), DiagonalNormal(self.loc(), self.log_variance()))
