"""Bounds with a distance between the codes of a minibatch and the prior (arXiv 1706.02262, 1711.01558)."""

from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor
from torch.distributions import Distribution

from vae_exp.objective.base import Decode, HasClosedKL, Objective, Terms, estimator_b
from vae_exp.prior.base import Encode


class MMD(Objective, HasClosedKL):
    """Estimator B and the maximum mean discrepancy between q(z) and p(z): InfoVAE (Zhao et al. 2017, arXiv 1706.02262).

    The loss is E_q[−log p(x|z)] + (1 − α) KL(q(z|x)‖p(z)) + (α + λ − 1) MMD(q(z), p(z)), where q(z) is the mean
    of q(z|x) over the images. Here `architecture.beta` is 1 − α, and `objective.weight` is α + λ − 1. With
    `architecture.beta=0` it is the Wasserstein autoencoder WAE-MMD with a random encoder (Tolstikhin et al. 2018, arXiv
    1711.01558). The MMD is estimated without bias from the codes of the minibatch and equally many draws from p(z); if
    several processes share a minibatch, each uses its own images.

    Args:
        samples: L, the number of latents per image, of which the first is in the MMD.
        weight: Weight of the MMD in the loss. The reported bound does not depend on it.
        kernel: `imq`, 2D/(2D + ‖z − z'‖²) for D latents (arXiv 1711.01558, section 4), or `rbf`, exp(−‖z − z'‖²/(2D)).
    """

    terms = ("nll", "kl", "mmd")

    def __init__(
        self, samples: PositiveInt = 1, weight: NonNegativeFloat = 1000.0, kernel: Literal["imq", "rbf"] = "imq"
    ) -> None:
        super().__init__()
        self.samples = samples
        self.weight = weight
        self.kernel = kernel

    @property
    def weights(self) -> Mapping[str, float]:
        """Return the weight of `mmd`."""
        return {"mmd": self.weight}

    def forward(self, x: Tensor, encode: Encode, p: Distribution, decode: Decode) -> Terms:
        """Compute `nll` and `kl` in nats per image, and `mmd`, which has no unit and is equal for all; each (B,)."""
        q = encode(x)
        terms = estimator_b(x, lambda _: q, p, decode, self.samples)
        codes, draws = q.rsample(), p.sample((len(x),))
        return terms | {"mmd": self.discrepancy(codes, draws).expand(len(x))}

    def discrepancy(self, a: Tensor, b: Tensor) -> Tensor:
        """Estimate MMD² of two distributions from draws (M, D) of each, without bias; it may be below zero."""
        off = ~torch.eye(len(a), dtype=torch.bool, device=a.device)
        within = (self._similarity(a, a) + self._similarity(b, b)) * off
        return within.sum() / off.sum().clamp(min=1) - 2 * self._similarity(a, b).mean()

    def _similarity(self, a: Tensor, b: Tensor) -> Tensor:
        """Compute the kernel of all pairs, (M, M)."""
        # not torch.cdist: its derivative at distance zero is not defined
        distance = (a[:, None] - b).square().sum(-1) / (2 * a.shape[1])
        return (-distance).exp() if self.kernel == "rbf" else 1 / (1 + distance)
