"""A bound whose KL is split into three parts, to weigh the dependence between the latents (arXiv 1802.04942)."""

import math
from collections.abc import Mapping

from pydantic import NonNegativeFloat
from torch import Tensor
from torch.distributions import Distribution

from vae_exp.objective.base import Decode, NeedsNormal, Objective, Terms
from vae_exp.prior.base import Encode, ReparameterisedNormal
from vae_exp.prior.normal import LOG_2_PI, DiagonalNormal


class BetaTC(Objective, NeedsNormal):
    """β-TCVAE (Chen et al. 2018, arXiv 1802.04942): only the total correlation of the latents has a weight.

    With q(z), the mean of q(z|x) over the images, the mean KL is the sum of three terms (eq. 2):

    - `mutual_information`: E[log q(z|x) − log q(z)], between image and code,
    - `total_correlation`: E[log q(z) − Σ_d log q(z_d)], zero if the latents are independent of each other,
    - `dimension_kl`: E[Σ_d log q(z_d) − log p(z)].

    log q(z) is estimated from the M images of the minibatch, as log 1/M Σ_j q(z|x_j). The paper has 1/(NM) for N
    training images, where q(z) is also smaller by the other images; this is a constant, with the same gradient. If
    several processes share a minibatch, each uses its own images.

    Args:
        weight: β, the weight of the total correlation in the loss. The reported bound does not depend on it.
    """

    terms = ("nll", "mutual_information", "total_correlation", "dimension_kl")

    def __init__(self, weight: NonNegativeFloat = 6.0) -> None:
        super().__init__()
        self.weight = weight

    @property
    def weights(self) -> Mapping[str, float]:
        """Return β for `total_correlation`."""
        return {"total_correlation": self.weight}

    def forward(self, x: Tensor, encode: Encode, p: Distribution, decode: Decode) -> Terms:
        """Compute the terms from one latent per image, each (B,) in nats per image."""
        q = encode(x)
        assert isinstance(q, ReparameterisedNormal)
        z, log_q = q.rsample_and_log_prob((1,))
        nll = -decode(z).log_prob(x)[0]
        log_marginal = q.log_prob(z[0][:, None]).logsumexp(1) - math.log(len(x))
        pairs = log_density_per_latent(DiagonalNormal(q.mean, q.closed_log_variance()), z[0])
        log_product = (pairs.logsumexp(1) - math.log(len(x))).sum(-1)
        return {
            "nll": nll,
            "mutual_information": log_q[0] - log_marginal,
            "total_correlation": log_marginal - log_product,
            "dimension_kl": log_product - p.log_prob(z[0]),
        }


def log_density_per_latent(q: DiagonalNormal, z: Tensor) -> Tensor:
    """Compute log q(z_d|x_j) of every latent of every z under the posterior of every image.

    Args:
        q: The posteriors of single latents, batch (M,), event (D,).
        z: Latents (B, D).

    Returns:
        Log densities (B, M, D) in nats.
    """
    standardised = (z[:, None] - q.loc) * (-0.5 * q.log_variance).exp()
    return -0.5 * (standardised.square() + q.log_variance + LOG_2_PI)
