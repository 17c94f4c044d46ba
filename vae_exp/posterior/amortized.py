"""Posteriors that an encoder gives."""

from typing import ClassVar

from torch import Tensor

from vae_exp.network.base import Encoder
from vae_exp.posterior.base import Posterior
from vae_exp.prior.normal import DiagonalNormal


class AmortizedPosterior(Posterior):
    """q(z|x) = N(μ(x), diag σ²(x)), where an encoder computes μ and log σ² (arXiv 1312.6114, eq. 9).

    The model that uses it registers the encoder, so that the names of the weights do not depend on this class.

    Args:
        encoder: Maps images and label context to `parameters_per_latent` · latent_dim features.

    Attributes:
        parameters_per_latent: Number of features that each latent needs: its μ and its log σ².
    """

    amortized = True
    parameters_per_latent: ClassVar[int] = 2

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    def __call__(self, x: Tensor, c: Tensor) -> DiagonalNormal:
        """Compute q(z|x), batch (B,), event (latent_dim,). With K rows of c for each image, the batch is (K·B,)."""
        return DiagonalNormal(*self._encoder(x, c).chunk(self.parameters_per_latent, dim=-1))

    def filters(self) -> Tensor:
        """Return the encoder's first layer as images (N, C, h, w)."""
        return self._encoder.filters()
