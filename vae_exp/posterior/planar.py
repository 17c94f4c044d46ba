"""Planar flows as posteriors."""

import torch
from torch import Tensor
from torch.nn.functional import softplus

from vae_exp.posterior.base import PosteriorFamily
from vae_exp.posterior.pushforward import Pushforward, Step
from vae_exp.prior.base import Transforms
from vae_exp.prior.normal import DiagonalNormal


class PlanarStep(Step):
    """f(z) = z + û tanh(wᵀz + b), with û = u + (m(wᵀu) − wᵀu) w/‖w‖² and m(a) = −1 + log(1 + eᵃ).

    (arXiv 1505.05770, eq. 10 and appendix A.1.) wᵀû = m(wᵀu) > −1 makes it invertible.

    Args:
        u: (B, D).
        w: (B, D), not 0.
        b: (B, 1).
    """

    def __init__(self, u: Tensor, w: Tensor, b: Tensor) -> None:
        wu = (w * u).sum(-1, keepdim=True)
        self.w, self.b = w, b
        self.wu = softplus(wu) - 1
        self.u = u + (self.wu - wu) * w / w.square().sum(-1, keepdim=True)

    def __call__(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Compute f(z), and log |det| = log(1 + (1 − tanh²(wᵀz + b)) wᵀû) (eq. 12)."""
        h = torch.tanh((self.w * z).sum(-1, keepdim=True) + self.b)
        return z + self.u * h, torch.log1p((1 - h.square()) * self.wu).squeeze(-1)


class Planar(PosteriorFamily):
    """A normal with independent latents that goes through planar steps (Rezende and Mohamed 2015, arXiv 1505.05770).

    The features are μ and log σ² of the normal, and u, w and b of every step. The density is known at draws only, so
    KL(q‖p) is estimated from draws. To w of the t-th step a unit vector is added, along latent t mod latent_dim: this
    is no restriction, and w begins away from 0, where f would not depend on z.

    Args:
        latent_dim: Size of z.
        transforms: Number of steps.
    """

    first: Tensor

    def __init__(self, latent_dim: int, transforms: Transforms = 10) -> None:
        super().__init__()
        self.transforms = transforms
        self._sizes = [latent_dim, latent_dim, 1]
        self.features = 2 * latent_dim + transforms * sum(self._sizes)
        first = torch.eye(latent_dim)[torch.arange(transforms) % latent_dim]
        self.register_buffer("first", first, persistent=False)

    def forward(self, features: Tensor) -> Pushforward:
        """Map features (B, features) to q(z|x)."""
        of_base, *of_steps = features.split([2 * self._sizes[0], *self.transforms * [sum(self._sizes)]], -1)
        base = DiagonalNormal(*of_base.chunk(2, -1))
        steps = [
            PlanarStep(u, w + first, b)
            for (u, w, b), first in zip((step.split(self._sizes, -1) for step in of_steps), self.first, strict=True)
        ]
        return Pushforward(base, steps)
