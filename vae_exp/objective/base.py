"""Interface of the training objectives: estimators of the bound L = E_q[log p(x|z)] − KL(q‖p) and its alternatives."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

from pydantic import PositiveInt
from torch import Tensor, nn
from torch.distributions import Distribution

from vae_exp.prior.normal import DiagonalNormal, Normals, kl_of_normals

Terms = dict[str, Tensor]
"""Named (B,) tensors in nats per image, summed over pixels and latents, unweighted."""

Encode = Callable[[Tensor], DiagonalNormal]
"""Images (B, C, H, W) to q(z|x), batch (B,) and event (latent_dim,), reparameterised."""

Decode = Callable[[Tensor], Distribution]
"""Latents (L, B, latent_dim) to p(x|z) with batch (L, B)."""


class Objective(nn.Module, ABC):
    """A training objective of a variational model: computes the terms of its loss.

    Args:
        samples: Number of latents per image, L.

    Attributes:
        terms: The names of the terms. If `kl` is one of them, it is multiplied by the model's β.
        amortized: Whether the objective trains an encoder.
        online: Whether it trains on minibatches. If not, every batch holds all training images.
        evaluations: How many times it evaluates a batch before the next batch.
    """

    terms: ClassVar[tuple[str, ...]]
    amortized: ClassVar[bool] = True
    online: bool = True
    evaluations: int = 1

    def __init__(self, samples: PositiveInt = 1) -> None:
        super().__init__()
        self.samples = samples

    @abstractmethod
    def forward(self, x: Tensor, encode: Encode, p: Normals, decode: Decode) -> Terms:
        """Compute the terms, each (B,) in nats per image.

        Args:
            x: Images (B, C, H, W).
            encode: Maps images to the posterior q(z|x).
            p: The prior p(z), event (latent_dim,).
            decode: Maps latents to p(x|z).
        """

    def adopt(self, decoder: nn.Module) -> None:
        """Change the decoder before training, if the objective needs it. The default does nothing."""

    def begin(self, images: int, p: Normals) -> None:
        """Prepare for a training set of `images` images, before training starts. The default does nothing."""

    def e_step(self, x: Tensor, index: Tensor, p: Normals, decode: Callable[[Tensor, Tensor], Distribution]) -> bool:
        """Do the E step that precedes an update on the batch x. The default does nothing and returns True.

        Args:
            x: Images (B, C, H, W).
            index: The positions of these images in the training set, (B,).
            p: The prior p(z), event (latent_dim,).
            decode: Maps latents (L, b, latent_dim), and the positions in the batch (b,) of their images, to p(x|z).

        Returns:
            Whether the weights are updated after this evaluation of the batch.
        """
        return True

    def bound(self, x: Tensor, encode: Encode, p: Normals, decode: Decode) -> Terms:
        """Compute `nll` and `kl`, each (B,), by estimator B with one latent per image. The bound is −(nll + kl)."""
        return estimator_b(x, encode, p, decode, samples=1)


def estimator_b(x: Tensor, encode: Encode, p: Normals, decode: Decode, samples: int) -> Terms:
    """Compute `nll` and `kl`, each (B,) in nats per image, by estimator B with `samples` latents per image."""
    q = encode(x)
    nll = -decode(q.rsample((samples,))).log_prob(x)
    return {"nll": nll.mean(0), "kl": kl_of_normals(q, p)}
