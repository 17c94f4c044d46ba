"""The standard normal prior."""

import torch
from torch import Tensor
from torch.distributions import Independent, Normal

from vae_exp.network import Shape
from vae_exp.prior.base import Encode, Factorised, Prior
from vae_exp.prior.normal import Normals


class StandardNormal(Prior, Factorised):
    """p(z) = N(0, I) (arXiv 1312.6114, appendix B). It has no parameters.

    Args:
        latent_dim: Size of z.
        shape: (C, H, W) of an image.
    """

    loc: Tensor
    scale: Tensor

    def __init__(self, latent_dim: int, shape: Shape) -> None:
        super().__init__()
        self.register_buffer("loc", torch.zeros(latent_dim), persistent=False)
        self.register_buffer("scale", torch.ones(latent_dim), persistent=False)

    def forward(self, encode: Encode) -> Normals:
        """Return N(0, I), event (latent_dim,)."""
        return Independent(Normal(self.loc, self.scale), 1)
