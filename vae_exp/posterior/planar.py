"""Planar flows as posteriors."""

import math

import torch
from torch import Tensor
from torch.nn.functional import normalize, softplus

from vae_exp.posterior.base import PosteriorFamily
from vae_exp.posterior.pushforward import PACE, Pushforward, Step
from vae_exp.prior.base import Transforms
from vae_exp.prior.normal import DiagonalNormal

IDENTITY = math.log(math.e - 1)
"""c with log(1 + eᶜ) = 1."""


class PlanarStep(Step):
    """f(z) = z + û tanh(wᵀz + b), with û = u + (m(wᵀu) − wᵀu) w/‖w‖² and m(a) = −1 + log(1 + exp(a + c)).

    (arXiv 1505.05770, eq. 10 and appendix A.1.) wᵀû = m(wᵀu) > −1 makes it invertible. With c = log(e − 1), f is the
    identity if u = 0; in the paper c is 0.

    Args:
        u: (B, D).
        direction: w/‖w‖, (B, D).
        length: ‖w‖, (B, 1).
        b: (B, 1).
    """

    def __init__(self, u: Tensor, direction: Tensor, length: Tensor, b: Tensor) -> None:
        wu = length * (direction * u).sum(-1, keepdim=True)
        self.w, self.b = length * direction, b
        self.wu = softplus(wu + IDENTITY) - 1
        self.u = u + (self.wu - wu) / length * direction

    def __call__(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Compute f(z), and log |det| = log(1 + (1 − tanh²(wᵀz + b)) wᵀû) (eq. 12)."""
        h = torch.tanh((self.w * z).sum(-1, keepdim=True) + self.b)
        return z + self.u * h, torch.log1p((1 - h.square()) * self.wu).squeeze(-1)


class Planar(PosteriorFamily):
    """A normal with independent latents that goes through planar steps (Rezende and Mohamed 2015, arXiv 1505.05770).

    The features are μ and log σ² of the normal, and u, v, log ‖w‖ and b of every step, where w = ‖w‖ v/‖v‖: its length
    is learned apart from its direction, as in arXiv 1602.07868. To v of the t-th step a unit vector is added, along
    latent t mod latent_dim: this is no restriction, and small features do not turn w. The features of the steps are
    multiplied by 0.1 (`PACE`). The density is known at draws only, so KL(q‖p) is estimated from draws.

    Args:
        latent_dim: Size of z.
        transforms: Number of steps.

    Attributes:
        axes: The unit vectors, (T, D). A checkpoint keeps them, because they are a part of what it has learned.
    """

    axes: Tensor

    def __init__(self, latent_dim: int, transforms: Transforms = 8) -> None:
        super().__init__()
        self.transforms = transforms
        self._sizes = [latent_dim, latent_dim, 1, 1]
        self.features = 2 * latent_dim + transforms * sum(self._sizes)
        self.register_buffer("axes", torch.eye(latent_dim)[torch.arange(transforms) % latent_dim])

    def forward(self, features: Tensor) -> Pushforward:
        """Map features (B, features) to q(z|x)."""
        of_base, *of_steps = features.split([2 * self._sizes[0], *self.transforms * [sum(self._sizes)]], -1)
        parameters = ((PACE * step).split(self._sizes, -1) for step in of_steps)
        steps = [
            PlanarStep(u, normalize(v + axis, dim=-1), log_length.exp(), b)
            for (u, v, log_length, b), axis in zip(parameters, self.axes, strict=True)
        ]
        return Pushforward(DiagonalNormal(*of_base.chunk(2, -1)), steps)
