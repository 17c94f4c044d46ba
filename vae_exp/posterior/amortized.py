"""Posteriors that an encoder gives."""

from torch import Tensor

from vae_exp.network.base import Encoder
from vae_exp.posterior.base import Posterior, PosteriorFamily
from vae_exp.prior.base import Reparameterised


class AmortizedPosterior(Posterior):
    """q(z|x) of a family, with the parameters that an encoder computes from x (arXiv 1312.6114, section 2.1).

    The model that uses it registers the encoder and the family, so that the names of the weights do not depend on this
    class.

    Args:
        encoder: Maps images and label context to the features that the family wants.
        family: Maps these features to q(z|x).
    """

    amortized = True

    def __init__(self, encoder: Encoder, family: PosteriorFamily) -> None:
        self._encoder = encoder
        self._family = family

    def __call__(self, x: Tensor, c: Tensor) -> Reparameterised:
        """Compute q(z|x), batch (B,), event (latent_dim,). With K rows of c for each image, the batch is (K·B,)."""
        q: Reparameterised = self._family(self._encoder(x, c))
        return q

    def filters(self) -> Tensor:
        """Return the encoder's first layer as images (N, C, h, w)."""
        return self._encoder.filters()
