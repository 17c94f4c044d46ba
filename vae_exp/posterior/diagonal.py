"""Normal posteriors with independent latents."""

from torch import Tensor

from vae_exp.posterior.base import NormalFamily, PosteriorFamily
from vae_exp.prior.base import Factorised
from vae_exp.prior.normal import DiagonalNormal


class Diagonal(PosteriorFamily, Factorised, NormalFamily):
    """q(z|x) = N(μ(x), diag σ²(x)) (arXiv 1312.6114, eq. 9). The features are μ and log σ².

    Args:
        latent_dim: Size of z.
    """

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.features = 2 * latent_dim

    def forward(self, features: Tensor) -> DiagonalNormal:
        """Map features (B, 2·latent_dim) to q(z|x)."""
        return DiagonalNormal(*features.chunk(2, dim=-1))
