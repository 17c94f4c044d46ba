"""Free bits: latents that carry little information are not trained to carry less."""

import torch
import torch.distributed as dist
from torch import Tensor


def kl_with_free_bits(kl: Tensor, least: float) -> Tensor:
    """Compute Σ_j max(λ, mean of KL_j over the minibatch) (Kingma et al. 2016, arXiv 1606.04934, eq. 15).

    The result has one value per image, whose mean over the minibatch is this sum: KL_j of the image if the mean over
    the minibatch is above λ, and λ otherwise. If several processes share a minibatch, the mean is over all its images.

    Args:
        kl: The KL of every latent of every image, (B, latent_dim) in nats.
        least: λ, the nats per latent that cost nothing.

    Returns:
        One value per image, (B,) in nats.
    """
    return torch.where(minibatch_mean(kl.detach()) > least, kl, least).sum(-1)


def minibatch_mean(values: Tensor) -> Tensor:
    """Compute the mean over the images of a minibatch, (D,) of (B, D), also if several processes have parts of it."""
    sums = torch.cat([values.sum(0), values.new_tensor([len(values)])])
    if dist.is_initialized():
        dist.all_reduce(sums)
    return sums[:-1] / sums[-1]
