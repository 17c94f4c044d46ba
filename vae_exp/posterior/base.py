"""The interfaces of posteriors: how q(z|x) is found, and which distribution it is."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

from torch import Tensor, nn

from vae_exp.prior.base import Reparameterised


class Posterior(ABC):
    """Maps images (B, C, H, W) and label context (B, context) to q(z|x), or to q(z|x, y).

    Attributes:
        amortized: Whether an encoder gives q(z|x) in one pass. If not, it is searched for, image by image.
    """

    amortized: ClassVar[bool]

    @abstractmethod
    def __call__(self, x: Tensor, c: Tensor) -> Reparameterised:
        """Compute q(z|x), batch (B,) and event (latent_dim,).

        Args:
            x: Images (B, C, H, W).
            c: Their labels as one-hot vectors (B, classes); (B, 0) if the model takes no labels.
        """

    @abstractmethod
    def filters(self) -> Tensor:
        """Return the encoder's first layer as images (N, C, h, w).

        Raises:
            UserError: There is no encoder.
        """


class PosteriorFamily(nn.Module, ABC):
    """The family of distributions from which an encoder chooses q(z|x): the choice of `posterior=`.

    A constructor takes `latent_dim`, the size of z, which is derived from the architecture.

    Attributes:
        features: Number of features that it wants from the encoder for each image.
    """

    features: int

    @abstractmethod
    def forward(self, features: Tensor) -> Reparameterised:
        """Map features (B, features) to q(z|x), batch (B,) and event (latent_dim,)."""


BuildPosterior = Callable[[int], PosteriorFamily]
"""Builds a family from the size of z: a class, or a `functools.partial` of one."""


class HasDensity(ABC):  # noqa: B024 (says what a family can do, and needs no method for it)
    """A family whose `log_prob` is known at any z, not only at its own draws."""


class NormalFamily(HasDensity):
    """A family of normals: every q(z|x) is a `ReparameterisedNormal`."""
