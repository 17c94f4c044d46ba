"""The variational mixture of posteriors."""

import math
from typing import Literal

import torch
from pydantic import PositiveInt
from torch import Tensor

from vae_exp.network import Shape
from vae_exp.prior.base import Encode, NeedsEncoder, Points, Prior, StartsFromImages
from vae_exp.prior.mixture import MixtureOf

BeginAt = Literal["images", "random"]
"""The first pseudo-inputs: training images, or uniform noise."""


class Vamp(Prior, NeedsEncoder, StartsFromImages):
    """The VampPrior: p(z) = 1/K Σ_k q(z|u_k) with learned pseudo-inputs u_k (arXiv 1705.07120, eq. 9).

    KL(q‖p) has no closed form, and is estimated from draws. If the density of q(z|x) is known at its own draws only, as
    that of planar, Sylvester and inverse autoregressive flows, a component is the normal distribution from which the
    flow of q(z|u_k) starts.

    The pseudo-inputs are free parameters: a pixel may leave [0, 1].

    Args:
        latent_dim: Size of z.
        shape: (C, H, W) of an image.
        components: K.
        begin_at: The first pseudo-inputs.
    """

    begun: Tensor

    def __init__(
        self, latent_dim: int, shape: Shape, components: PositiveInt = 500, begin_at: BeginAt = "images"
    ) -> None:
        super().__init__()
        self.components = components
        self.pseudo_inputs = Points(torch.rand(components, *shape))
        # kept with the weights, so that a resumed run does not begin anew
        self.register_buffer("begun", torch.tensor(begin_at == "random"))

    @property
    def wanted_images(self) -> int:
        """K, or 0 if the pseudo-inputs have begun."""
        return 0 if bool(self.begun) else self.components

    @torch.no_grad()
    def begin(self, x: Tensor) -> None:
        """Take the images x (K, C, H, W) for the first pseudo-inputs."""
        self.pseudo_inputs.value.copy_(x)
        self.begun.fill_(True)

    def forward(self, encode: Encode) -> MixtureOf:
        """Return the mixture of q(z|u_k), event (latent_dim,)."""
        components = encode(self.pseudo_inputs()).tractable
        log_weights = components.mean.new_full((self.components,), -math.log(self.components))
        return MixtureOf(log_weights, components)
