"""What a code says about the image: the mutual information, and how far the aggregated posterior is from the prior."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vae_exp.architecture import Generative
from vae_exp.prior.normal import LOG_2_PI, DiagonalNormal

ROWS_AT_ONCE = 500
"""Number of draws whose densities under all posteriors are computed together."""


@dataclass(frozen=True)
class Information:
    """The two parts of the mean KL(q(z|x)‖p(z)) of N images (Hoffman and Johnson 2016), each (N,) in nats.

    Args:
        mutual_information: log q(z|x) − log q(z) at a draw z ~ q(z|x); its mean estimates I_q(x; z).
        aggregated_kl: log q(z) − log p(z) at the same draw; its mean estimates KL(q(z)‖p(z)).
    """

    mutual_information: Tensor
    aggregated_kl: Tensor


@torch.no_grad()
def information(model: Generative, q: DiagonalNormal) -> Information:
    """Estimate the mutual information of image and code, and KL(q(z)‖p(z)), with one draw for each image.

    q(z) = 1/N Σ_n q(z|x_n) is the aggregated posterior of these N images, and its density is computed exactly. So both
    estimates are unbiased for these images. As estimates for the distribution that the images come from they are
    biased: the mutual information is at most log N, and too low if it is near log N; KL(q(z)‖p(z)) is then too high by
    the same amount. Their sum, the mean KL, has no such bias.

    Args:
        model: The model; only its prior is used.
        q: q(z|x) of every image, batch (N,) and event (latent_dim,).
    """
    q = DiagonalNormal(q.loc.double(), q.log_variance.double())
    z, log_q = q.rsample_and_log_prob()
    log_aggregated = log_aggregated_posterior(q, z)
    return Information(log_q - log_aggregated, log_aggregated - model.prior.log_prob(z))


def log_aggregated_posterior(q: DiagonalNormal, z: Tensor) -> Tensor:
    """Compute log 1/N Σ_n q(z|x_n) of M latents, (M,) of (M, latent_dim), in the precision of q.

    The squares (z − μ)²/σ² of all pairs are sums of three matrix products, because M·N·latent_dim differences would not
    fit into memory. That costs digits, so q should have float64.
    """
    precision = torch.exp(-q.log_variance)
    weighted_mean = q.loc * precision
    constant = (q.loc * weighted_mean + q.log_variance + LOG_2_PI).sum(-1)
    sums = [
        (-0.5 * (rows.square() @ precision.T - 2 * rows @ weighted_mean.T + constant)).logsumexp(1)
        for rows in z.split(ROWS_AT_ONCE)
    ]
    return torch.cat(sums) - math.log(len(q.loc))
