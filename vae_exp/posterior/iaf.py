"""Inverse autoregressive flows as posteriors, by zuko."""

from pydantic import PositiveInt
from torch import Tensor

from vae_exp.posterior.autoregressive import AutoregressiveStep, transforms_in_turns
from vae_exp.posterior.base import PosteriorFamily
from vae_exp.posterior.pushforward import Pushforward
from vae_exp.prior.base import Transforms
from vae_exp.prior.normal import DiagonalNormal


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
        transforms: Transforms = 8,
        hidden_sizes: list[PositiveInt] | None = None,
        context: PositiveInt = 32,
    ) -> None:
        super().__init__()
        self._sizes = [latent_dim, latent_dim, context]
        self.features = sum(self._sizes)
        self.steps = transforms_in_turns(transforms, latent_dim, context, hidden_sizes)

    def forward(self, features: Tensor) -> Pushforward:
        """Map features (B, 2·latent_dim + context) to q(z|x)."""
        loc, log_variance, context = features.split(self._sizes, -1)
        return Pushforward(DiagonalNormal(loc, log_variance), [AutoregressiveStep(f, context) for f in self.steps])
