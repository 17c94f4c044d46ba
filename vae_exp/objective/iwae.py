"""The importance-weighted bound (arXiv 1509.00519)."""

import math

from pydantic import PositiveInt
from torch import Tensor
from torch.distributions import Distribution

from vae_exp.objective.base import Decode, Objective, Terms
from vae_exp.prior.base import Encode


class IWAE(Objective):
    """The importance-weighted bound L_k = log 1/k Σ_i p(x, z_i)/q(z_i|x), z_i ~ q(z|x) (arXiv 1509.00519, eq. 8).

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
        z, log_q = q.rsample_and_log_prob((self.samples,))
        log_weights = decode(z).log_prob(x) + p.log_prob(z) - log_q
        return {"iwae": math.log(self.samples) - log_weights.logsumexp(0)}
