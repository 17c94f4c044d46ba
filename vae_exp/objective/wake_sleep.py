"""The wake-sleep algorithm (Hinton et al. 1995, Science)."""

from typing import Literal

import torch
from pydantic import PositiveInt
from torch import Tensor
from torch.distributions import Distribution

from vae_exp.objective.base import Decode, IgnoresPrior, NeedsDensity, Objective, Terms
from vae_exp.prior.base import Encode


class WakeSleep(Objective, IgnoresPrior, NeedsDensity):
    """The wake-sleep algorithm (Hinton et al. 1995, Science), with both phases in every update.

    The wake phase trains the decoder on latents of real images: −log p(x|z), z ~ q(z|x). The sleep phase trains the
    encoder on dreams: −log q(z|x), (x, z) ~ p. The gradient of one phase does not reach the network of the other.

    In the algorithm, a dream is a draw x ~ p(x|z). A Bernoulli likelihood draws binary images. If the data are grey,
    the encoder is then trained on binary images only, but is used on grey ones, in the wake phase and in evaluations.
    With `dream=mean`, a dream is E[x|z], which is grey too. That x has no noise, so it is no draw from the density.

    Args:
        samples: L, the number of latents per image in the wake phase.
        dream: The images that train the encoder: a `sample` of p(x|z), as in the algorithm, or the `mean` of p(x|z).
    """

    terms = ("wake", "sleep")

    def __init__(self, samples: PositiveInt = 1, dream: Literal["sample", "mean"] = "sample") -> None:
        super().__init__()
        self.samples = samples
        self.dream = dream

    def forward(self, x: Tensor, encode: Encode, p: Distribution, decode: Decode) -> Terms:
        """Compute `wake` in nats per image and `sleep` in nats per dream, each (B,)."""
        with torch.no_grad():
            z = encode(x).sample((self.samples,))
            dreamt_z = p.sample((1, len(x)))
            dreamt = decode(dreamt_z)
            dream = dreamt.sample() if self.dream == "sample" else dreamt.mean
        wake = -decode(z).log_prob(x)
        sleep = -encode(dream[0]).log_prob(dreamt_z[0])
        return {"wake": wake.mean(0), "sleep": sleep}
