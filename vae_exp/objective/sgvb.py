"""The two estimators of Auto-Encoding Variational Bayes (arXiv 1312.6114, section 2.3)."""

from pydantic import PositiveInt
from torch import Tensor
from torch.distributions import Distribution

from vae_exp.objective.base import Decode, HasClosedKL, Objective, Terms, estimator_b
from vae_exp.prior.base import Encode


class SGVBA(Objective):
    """Estimator A: L = 1/L Σ_l [log p(x|z_l) + log p(z_l) − log q(z_l|x)] (arXiv 1312.6114, eq. 6).

    Args:
        samples: Number of latents per image, L.
    """

    terms = ("nll", "kl")

    def __init__(self, samples: PositiveInt = 1) -> None:
        super().__init__()
        self.samples = samples

    def forward(self, x: Tensor, encode: Encode, p: Distribution, decode: Decode) -> Terms:
        """Compute `nll` and an estimate of `kl` from samples, each (B,) in nats per image."""
        q = encode(x)
        z, log_q = q.rsample_and_log_prob((self.samples,))
        nll = -decode(z).log_prob(x)
        kl = log_q - p.log_prob(z)
        return {"nll": nll.mean(0), "kl": kl.mean(0)}


class SGVBB(Objective, HasClosedKL):
    """Estimator B: L = 1/L Σ_l log p(x|z_l) − KL(q‖p), the KL in closed form (arXiv 1312.6114, eqs. 7 and 10).

    Args:
        samples: Number of latents per image, L.
    """

    terms = ("nll", "kl")

    def __init__(self, samples: PositiveInt = 1) -> None:
        super().__init__()
        self.samples = samples

    def forward(self, x: Tensor, encode: Encode, p: Distribution, decode: Decode) -> Terms:
        """Compute `nll` and `kl` in closed form, each (B,) in nats per image."""
        return estimator_b(x, encode, p, decode, self.samples)
