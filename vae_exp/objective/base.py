"""Interface of the training objectives: estimators of the bound L = E_q[log p(x|z)] − KL(q‖p) and its alternatives."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar

from torch import Tensor, nn
from torch.distributions import Distribution

from vae_exp.dataset.serving import Serving
from vae_exp.prior.base import Encode
from vae_exp.prior.kl import draws_and_kl

Terms = dict[str, Tensor]
"""Named (B,) tensors in nats per image, summed over pixels and latents, unweighted."""

Decode = Callable[[Tensor], Distribution]
"""Latents (L, B, latent_dim) to p(x|z) with batch (L, B)."""


class Objective(nn.Module, ABC):
    """A training objective of a variational model: computes the terms of its loss.

    Attributes:
        terms: The names of the terms. If `kl` is one of them, it is multiplied by the model's β.
    """

    terms: ClassVar[tuple[str, ...]]

    @property
    def weights(self) -> Mapping[str, float]:
        """Return the weights in the loss of the terms that do not have the weight 1. The model weighs `kl`."""
        return {}

    @abstractmethod
    def forward(self, x: Tensor, encode: Encode, p: Distribution, decode: Decode) -> Terms:
        """Compute the terms, each (B,) in nats per image.

        Args:
            x: Images (B, C, H, W).
            encode: Maps images to the posterior q(z|x).
            p: The prior p(z), event (latent_dim,).
            decode: Maps latents to p(x|z).
        """

    def bound(self, x: Tensor, encode: Encode, p: Distribution, decode: Decode) -> Terms:
        """Compute `nll` and `kl`, each (B,), by estimator B with one latent per image. The bound is −(nll + kl)."""
        return estimator_b(x, encode, p, decode, samples=1)


class HasEStep(ABC):
    """An objective that finds the latents of the training images itself, in E steps. It trains no encoder.

    Attributes:
        serving: How training batches are to be served.
    """

    serving: Serving

    @abstractmethod
    def begin(self, images: int, p: Distribution) -> None:
        """Prepare for a training set of `images` images, before training starts.

        Args:
            images: The number of training images.
            p: The prior p(z), event (latent_dim,).
        """

    @abstractmethod
    def e_step(
        self, x: Tensor, index: Tensor, p: Distribution, decode: Callable[[Tensor, Tensor], Distribution]
    ) -> bool:
        """Do the E step, if this evaluation of the batch x belongs to it.

        Args:
            x: Images (B, C, H, W).
            index: The positions of these images in the training set, (B,).
            p: The prior p(z), event (latent_dim,).
            decode: Maps latents (L, b, latent_dim), and the positions in the batch (b,) of their images, to p(x|z).

        Returns:
            Whether the weights are updated after this evaluation of the batch.
        """


class HasClosedKL(ABC):  # noqa: B024 (says what `kl` is, and needs no method for it)
    """An objective whose term `kl` is KL(q(z|x)‖p(z)) in closed form, if the posterior and the prior have one.

    There is one q(z|x) for each image.
    """


class IgnoresPrior(ABC):  # noqa: B024 (says what a loss lacks, and needs no method for it)
    """An objective without a term that depends on the parameters of p(z), so it cannot train them."""


class NeedsDensity(ABC):  # noqa: B024 (says what a loss needs, and needs no method for it)
    """An objective that needs log q(z|x) at latents that are not draws from q(z|x)."""


class NeedsNormal(ABC):  # noqa: B024 (says what a loss needs, and needs no method for it)
    """An objective that needs a normal q(z|x)."""


class ChangesDecoder(ABC):
    """An objective that needs a decoder of another kind, such as one with random weights."""

    @abstractmethod
    def adopt(self, decoder: nn.Module) -> None:
        """Change the decoder, before training starts."""


def estimator_b(x: Tensor, encode: Encode, p: Distribution, decode: Decode, samples: int) -> Terms:
    """Compute `nll` and `kl`, each (B,) in nats per image, by estimator B with `samples` latents per image."""
    z, kl = draws_and_kl(encode(x), p, samples)
    return {"nll": -decode(z).log_prob(x).mean(0), "kl": kl}
