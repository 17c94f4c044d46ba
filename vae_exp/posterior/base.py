"""The interface of posteriors: how q(z|x) is found."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor

from vae_exp.prior.normal import DiagonalNormal


class Posterior(ABC):
    """Maps images (B, C, H, W) and label context (B, context) to q(z|x), or to q(z|x, y).

    Attributes:
        amortized: Whether an encoder gives q(z|x) in one pass. If not, it is searched for, image by image.
    """

    amortized: ClassVar[bool]

    @abstractmethod
    def __call__(self, x: Tensor, c: Tensor) -> DiagonalNormal:
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
