"""Estimator A without the score function of the posterior (arXiv 1703.09194)."""

from pydantic import PositiveInt
from torch import Tensor
from torch.distributions import Distribution

from vae_exp.objective.base import Decode, NeedsNormal, Objective, Terms
from vae_exp.prior.base import Encode, ReparameterisedNormal


class STL(Objective, NeedsNormal):
    """Sticking the landing: estimator A, where log q(z|x) depends on φ only through z (Roeder et al. 2017).

    L = 1/L Σ_l [log p(x|z_l) + log p(z_l) − log q(z_l|x)] has the gradient of `SGVBA` without ∂log q(z|x)/∂φ at a
    constant z, whose mean is zero. If q(z|x) is the true posterior, the gradient for the
    encoder is then zero for every draw, not only on average.

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
        assert isinstance(q, ReparameterisedNormal)
        z = q.rsample((self.samples,))
        nll = -decode(z).log_prob(x)
        kl = q.detach().log_prob(z) - p.log_prob(z)
        return {"nll": nll.mean(0), "kl": kl.mean(0)}
