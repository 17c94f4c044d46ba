"""The importance-weighted bound with a doubly reparameterised gradient (arXiv 1810.04152)."""

import math

import torch
from pydantic import PositiveInt
from torch import Tensor
from torch.distributions import Distribution

from vae_exp.objective.base import Decode, NeedsNormal, Objective, Terms
from vae_exp.prior.base import Encode, ReparameterisedNormal


class DReG(Objective, NeedsNormal):
    """The bound L_k of `IWAE`, with a gradient of less variance for the encoder (Tucker et al. 2019, arXiv 1810.04152).

    With w_i = p(x, z_i)/q(z_i|x) and w̃_i = w_i/Σ_j w_j, the gradient for the encoder's parameters φ is

        E[Σ_i w̃_i² ∂log w_i/∂z_i ∂z_i/∂φ]

    where log w_i depends on φ only through z_i. It has the same mean as the gradient of `IWAE`, and its signal-to-noise
    ratio grows with k, where that of `IWAE` falls. The gradient for the decoder is that of `IWAE`: Σ_i w̃_i ∂log w_i/∂θ.

    The decoder is run twice, the first time without a derivative, because w̃_i must be known before z_i is decoded.

    Args:
        samples: Number of importance samples per image, k.
    """

    terms = ("iwae",)

    def __init__(self, samples: PositiveInt = 5) -> None:
        super().__init__()
        self.samples = samples

    def forward(self, x: Tensor, encode: Encode, p: Distribution, decode: Decode) -> Terms:
        """Compute `iwae` = −L_k, (B,) in nats per image."""
        q = encode(x)
        assert isinstance(q, ReparameterisedNormal)
        constant = q.detach()

        def log_weights(z: Tensor) -> Tensor:
            value: Tensor = decode(z).log_prob(x) + p.log_prob(z) - constant.log_prob(z)
            return value

        z = q.rsample((self.samples,))
        with torch.no_grad():
            share = log_weights(z).softmax(0)
        # the same latents, whose derivative is w̃ ∂z: the weight below multiplies it once more
        z = z.detach() + share[..., None] * (z - z.detach())
        log_w = log_weights(z)
        bound = log_w.logsumexp(0) - math.log(self.samples)
        surrogate = (share * log_w).sum(0)
        return {"iwae": -(surrogate + (bound - surrogate).detach())}
