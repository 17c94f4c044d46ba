"""p(x|z, c), which every model computes that decodes latents together with a label."""

from torch import Tensor
from torch.distributions import Distribution

from vae_exp.likelihood import Likelihood
from vae_exp.network.base import Decoder
from vae_exp.network.linear import join_context


def decode_with(decoder: Decoder, likelihood: Likelihood, z: Tensor, c: Tensor) -> Distribution:
    """Compute p(x|z, c) with batch shape (…, B).

    Args:
        decoder: Maps latents and label context to features.
        likelihood: Maps features to p(x|z, c).
        z: Latents (…, B, latent_dim).
        c: Label context (B, classes), one-hot or probabilities; (B, 0) without labels.
    """
    c = c.expand(*z.shape[:-1], -1)
    features = decoder(join_context(z.flatten(0, -2), c.flatten(0, -2))).unflatten(0, z.shape[:-1])
    p: Distribution = likelihood(features)
    return p
