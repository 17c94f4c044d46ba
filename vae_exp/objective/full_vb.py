"""Variational Bayes over latents and decoder weights (arXiv 1312.6114, appendix F)."""

from functools import partial

from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.distributions import Distribution

from vae_exp.network.bayesian import kl_of_weights, make_gaussian
from vae_exp.objective.base import ChangesDecoder, Decode, HasClosedKL, Objective, Terms, estimator_b
from vae_exp.prior.base import Encode


class FullVB(Objective, HasClosedKL, ChangesDecoder):
    """The bound on log p(X) if the decoder's weights are latents too (arXiv 1312.6114, appendix F).

    It is estimator B with weights w ~ q(w), drawn once per minibatch, minus KL(q(w)‖p(w)) in closed form, where
    p(w) = N(0, I/λ). Evaluations use the posterior mean of the weights.

    Args:
        samples: L, the number of latents per image.
        precision: λ, the precision of the prior on the weights.
        weight_std: The initial standard deviation of every q(w).
    """

    terms = ("nll", "kl", "kl_weights")

    def __init__(
        self, samples: PositiveInt = 1, precision: PositiveFloat = 1.0, weight_std: PositiveFloat = 0.01
    ) -> None:
        super().__init__()
        self.samples = samples
        self.precision = precision
        self.weight_std = weight_std

    def adopt(self, decoder: nn.Module) -> None:
        """Give every weight of the decoder a Gaussian posterior."""
        make_gaussian(decoder, self.weight_std)
        self.kl_of_weights = partial(kl_of_weights, decoder, self.precision)

    def forward(self, x: Tensor, encode: Encode, p: Distribution, decode: Decode) -> Terms:
        """Compute `nll` and `kl` in nats per image, and `kl_weights` in nats per data set, equal for all; each (B,)."""
        kl_weights = self.kl_of_weights().expand(len(x))
        return estimator_b(x, encode, p, decode, self.samples) | {"kl_weights": kl_weights}
