"""Inverse autoregressive flows as posteriors, by zuko."""

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from vae_exp.posterior.autoregressive import AutoregressiveStep
from vae_exp.posterior.base import PosteriorFamily
from vae_exp.posterior.pushforward import Pushforward
from vae_exp.prior.normal import DiagonalNormal
from vae_exp.prior.zuko_layers import MaskedAutoregressiveTransform, begin_near_identity


class IAF(PosteriorFamily):
    """A normal with independent latents that goes through inverse autoregressive steps (arXiv 1606.04934, section 3).

    z_i' = z_i exp(a_i) + m_i, where a masked network computes a and m from z_<i and from features c of the image. The
    order of the latents is reversed from step to step. At first, a step is nearly the identity. The features are μ and
    log σ² of the normal, and c. The density is known at draws only, so KL(q‖p) is estimated from draws: at any other z
    it would take latent_dim passes.

    Args:
        latent_dim: Size of z.
        transforms: Number of steps.
        hidden_sizes: Sizes of the hidden layers of the masked network in each step.
        context: Size of c.
    """

    def __init__(
        self,
        latent_dim: int,
        transforms: PositiveInt = 4,
        hidden_sizes: list[PositiveInt] | None = None,
        context: PositiveInt = 32,
    ) -> None:
        super().__init__()
        self._sizes = [latent_dim, latent_dim, context]
        self.features = sum(self._sizes)
        orders = torch.arange(latent_dim), torch.arange(latent_dim).flip(0)
        self.steps = nn.ModuleList(
            begin_near_identity(
                MaskedAutoregressiveTransform(
                    latent_dim, context, order=orders[i % 2], hidden_features=hidden_sizes or [64]
                )
            )
            for i in range(transforms)
        )

    def forward(self, features: Tensor) -> Pushforward:
        """Map features (B, 2·latent_dim + context) to q(z|x)."""
        loc, log_variance, context = features.split(self._sizes, -1)
        return Pushforward(DiagonalNormal(loc, log_variance), [AutoregressiveStep(f, context) for f in self.steps])
