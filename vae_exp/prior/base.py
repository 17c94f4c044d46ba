"""Interfaces: priors p(z), and distributions over latents that are drawn by a reparameterisation."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Annotated

from annotated_types import Interval
from torch import Size, Tensor, nn
from torch.distributions import Distribution

from vae_exp.network import Shape as ImageShape

Shape = Size | list[int] | tuple[int, ...]
"""The shape of a set of draws."""

Transforms = Annotated[int, Interval(gt=0, le=1000)]
"""The number of layers of a flow. They are built one by one, and more than this take minutes."""


class Reparameterised(Distribution, ABC):
    """A distribution over latents whose draws are differentiable in its parameters: batch (…), event (D,).

    `rsample`, `sample` and `log_prob` are those of PyTorch. `log_prob` is known at any z only if `tractable` is the
    distribution itself. At its own draws, the density is always known (`rsample_and_log_prob`).
    """

    has_rsample = True

    @property
    @abstractmethod
    def mean(self) -> Tensor:
        """The code, (…, D): the mean of z, or for a flow its value at the mean of its base, which is not the mean."""

    @abstractmethod
    def rsample_and_log_prob(self, sample_shape: Shape = ()) -> tuple[Tensor, Tensor]:
        """Draw z, (*sample_shape, …, D), and compute log q(z), (*sample_shape, …)."""

    @abstractmethod
    def closed_log_variance(self) -> Tensor | None:
        """Compute the log of the variance of each latent, (…, D); None if it is not known in closed form."""

    @abstractmethod
    def closed_kl(self, p: Distribution) -> Tensor | None:
        """Compute KL(q‖p) in closed form, (…) in nats; None if it is not known."""

    @property
    @abstractmethod
    def tractable(self) -> "Reparameterised":
        """A distribution whose density is known at any z: the distribution itself, or the base of a flow."""


class ReparameterisedNormal(Reparameterised):
    """A normal distribution over latents."""

    @abstractmethod
    def detach(self) -> "ReparameterisedNormal":
        """Return the same distribution with constants as parameters: its density has a derivative in z alone."""

    @abstractmethod
    def closed_log_variance(self) -> Tensor:
        """Compute the log of the variance of each latent, (…, D)."""


Encode = Callable[[Tensor], Reparameterised]
"""Images (B, C, H, W) to q(z|x), batch (B,) and event (latent_dim,)."""


class Prior(nn.Module, ABC):
    """p(z). Its parameters, if it has any, are trained with those of the networks.

    A constructor takes `latent_dim`, the size of z, and `shape`, (C, H, W) of an image; both are derived from the
    other parts of a run.
    """

    @abstractmethod
    def forward(self, encode: Encode) -> Distribution:
        """Return p(z) with event (latent_dim,), `log_prob` and `sample`.

        Args:
            encode: Maps images to q(z|x). Only a prior that is a `NeedsEncoder` may use it.
        """


BuildPrior = Callable[[int, ImageShape], Prior]
"""Builds a prior from the size of z and the shape of an image: a class, or a `functools.partial` of one."""


class Factorised(ABC):  # noqa: B024 (says what a distribution is, and needs no method for it)
    """A prior or posterior with independent normal latents: KL(q‖p) is a sum over them, in closed form."""


class NeedsEncoder(ABC):  # noqa: B024 (says what a prior needs, and needs no method for it)
    """A prior that is made of q(z|x) at images of its own. These have no labels."""


class StartsFromImages(ABC):
    """A part whose first parameters are training images."""

    @property
    @abstractmethod
    def wanted_images(self) -> int:
        """The number of images that it waits for; 0 if a checkpoint or another run has given its parameters."""

    @abstractmethod
    def begin(self, x: Tensor) -> None:
        """Take the images x (wanted_images, C, H, W)."""


class Points(nn.Module):
    """Parameters that are points, of the latents or of the images, and not weights: they have a flat prior.

    Args:
        value: The first values.
    """

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.value = nn.Parameter(value)

    def forward(self) -> Tensor:
        """Return the values."""
        return self.value
