"""What every model promises, and what only some can do: one abstract class for each capability."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vae_exp.architecture.inputs import finite, floats, integers, whole
from vae_exp.dataset.serving import DEFAULT_SERVING, Counts, Serving
from vae_exp.errors import InputError
from vae_exp.likelihood import Likelihood
from vae_exp.network import Shape
from vae_exp.objective import Terms
from vae_exp.objective.annealing import Annealing
from vae_exp.posterior.hmc import Joint
from vae_exp.prior.base import Reparameterised


class EStep(ABC):
    """The E step of an EM algorithm, which comes before updates of the weights."""

    @abstractmethod
    def begin(self, images: int) -> None:
        """Prepare for a training set of `images` images, before training starts."""

    @abstractmethod
    def __call__(self, x: Tensor, y: Tensor, index: Tensor) -> bool:
        """Do the E step, if this evaluation of the batch x belongs to it.

        Args:
            x: Images (B, C, H, W).
            y: Labels (B,).
            index: The positions of these images in the training set, (B,).

        Returns:
            Whether the weights are updated after this evaluation of the batch.
        """


class Model(nn.Module, ABC):
    """What is trained: images (B, C, H, W) in [0, 1] and labels (B,), −1 where unknown, to the terms of a loss.

    Attributes:
        shape: (C, H, W) of an image.
        classes: Number of classes of the labels that the model is given; 0 if it ignores labels.
        needs_labels: Whether every training image must have a label.
        amortized: Whether an encoder gives the code in one pass. If not, the code of each image is searched for.
        serving: How training batches are to be served.
        e_step: The E step that comes before updates; None if the weights are updated on every batch.
        annealing: Schedules, by term: the share of its weight that a term has, by the samples seen.
        start_from_prefix: Prefix of the `start_from` model's parameter names here, e.g. `m1.`.
    """

    shape: Shape
    classes: int
    needs_labels: bool = False
    amortized: bool = True
    serving: Serving = DEFAULT_SERVING
    e_step: EStep | None = None
    annealing: Mapping[str, Annealing] = MappingProxyType({})
    start_from_prefix: ClassVar[str] = ""

    @property
    @abstractmethod
    def autoencoder(self) -> "Autoencoder":
        """The autoencoder whose code the model uses: an autoencoder itself, or what a classifier is built around."""

    @abstractmethod
    def terms(self, x: Tensor, y: Tensor | None = None) -> Terms:
        """Compute the terms that are trained: named, each (B,), nats per image, unweighted."""

    @abstractmethod
    def evaluate_terms(self, x: Tensor, y: Tensor | None = None) -> Terms:
        """Compute the terms that are reported: named, each (B,), nats per image."""

    @abstractmethod
    def weights(self, counts: Counts) -> Mapping[str, float]:
        """Return the weight of each term in the loss.

        Args:
            counts: The numbers of training images.
        """

    @property
    def _parameter(self) -> Tensor:
        """One of the parameters. It has the model's device and precision."""
        return next(self.parameters())

    def _batch(self, x: Any, y: Any = None) -> tuple[Tensor, Tensor | None]:
        """Check images and labels, and convert them to tensors on the model's device."""
        wanted = f"images (B, {', '.join(map(str, self.shape))}) in [0, 1]"
        images = floats("x", x, self.shape, wanted, self._parameter)
        if images.ndim != 1 + len(self.shape):
            raise InputError(f"x: {wanted} are needed, not {tuple(images.shape)}")
        if not finite(images):
            raise InputError(f"x: {wanted} are needed; there is NaN or infinity among the pixels")
        return images, self._labels(y, images.shape[0])

    def _labels(self, y: Any, count: int) -> Tensor | None:
        """Check labels, and convert them to a tensor on the model's device."""
        if y is None:
            return None
        known = range(0 if self.needs_labels else -1, self.classes)
        return integers("y", y, count, known, self._parameter)


class Autoencoder(Model):
    """A model with a code: images (B, C, H, W) to latents (B, latent_dim), and back to p(x|z).

    Attributes:
        latent_dim: Size of the code.
        likelihood: Maps decoder features to p(x|z).
    """

    latent_dim: int
    likelihood: Likelihood

    @property
    def autoencoder(self) -> "Autoencoder":
        """The model itself."""
        return self

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Compute the code of each image, (B, latent_dim). If the code is random, this is its mean.

        With a flow as the posterior it is the flow at the mean of its base (`Reparameterised.mean`).

        Args:
            x: Images (B, C, H, W) in [0, 1], floats of any precision; also a NumPy array.
            y: Labels (B,), integers, for a model that takes them.

        Raises:
            InputError: They have another shape or type.
        """
        return self._encode(*self._batch(x, y))

    def decode(self, z: Tensor, y: Tensor | None = None) -> Distribution:
        """Compute p(x|z) with batch shape (…, B) and event shape (C, H, W).

        Args:
            z: Latents (…, B, latent_dim), floats of any precision; also a NumPy array.
            y: Labels (B,), integers, for a model that takes them.

        Raises:
            InputError: They have another shape or type.
        """
        z = floats("z", z, (self.latent_dim,), f"latents (…, B, {self.latent_dim})", self._parameter)
        return self._decode(z, self._labels(y, z.shape[-2]))

    @abstractmethod
    def _encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Do what `encode` does, for images and labels that have been checked."""

    @abstractmethod
    def _decode(self, z: Tensor, y: Tensor | None = None) -> Distribution:
        """Do what `decode` does, for latents and labels that have been checked."""

    @abstractmethod
    def reconstruct(self, x: Tensor, y: Tensor) -> Distribution:
        """Compute p(x|z) of each image, batch (B,), at a draw z ~ q(z|x), or at the code if it is not random.

        Args:
            x: Images (B, C, H, W).
            y: Labels (B,), −1 where unknown.
        """

    @abstractmethod
    def fill_labels(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the labels (B,) that the decoder needs. A model that predicts labels replaces the unknown ones."""

    @abstractmethod
    def corrupt(self, x: Tensor) -> Tensor:
        """Return the images as the encoder sees them in training."""

    @abstractmethod
    def filters(self) -> Tensor:
        """Return the encoder's first layer as images (N, C, h, w)."""


class HasPrior(Autoencoder):
    """An autoencoder with a distribution of codes, p(z), from which images can be drawn."""

    @property
    @abstractmethod
    def prior(self) -> Distribution:
        """p(z) with event (latent_dim,)."""

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        """Compute the means of p(x|z) at n latents z ~ p(z), as images (n, C, H, W).

        Args:
            n: Number of images.
            y: Labels (n,), if the model is conditioned on them. By default they are drawn uniformly.

        Raises:
            InputError: n is not a whole number, or the labels have another shape or type.
        """
        z = self.prior.sample((whole("n", n),))
        if self.classes and y is None:
            y = torch.randint(self.classes, (n,), device=z.device)
        return self.decode(z, y).mean


class Generative(HasPrior):
    """An autoencoder with a prior and a bound: `evaluate_terms` has its `nll` and `kl`.

    Attributes:
        bounds: The quantity that `bound` is a lower bound of.
    """

    bounds: str = "log p(x)"

    @abstractmethod
    def posterior(self, x: Tensor, y: Tensor | None = None) -> Reparameterised:
        """Compute q(z|x), or q(z|x, y): batch (B,), event (latent_dim,).

        Raises:
            InputError: Images or labels have another shape or type.
        """

    def bound(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Compute L = E_q[log p(x|z)] − KL(q‖p) of each image, (B,), in nats. It does not depend on β.

        Args:
            x: Images (B, C, H, W) in [0, 1], floats of any precision; also a NumPy array.
            y: Labels (B,), integers, for a model that takes them.

        Raises:
            InputError: Images or labels have another shape or type, or pixels lie outside of [0, 1].
        """
        images, labels = self._batch(x, y)
        training = self.training
        try:
            terms = self.eval().evaluate_terms(images, labels)
        except ValueError as error:  # from torch.distributions
            raise InputError("x: the likelihood has no density there: divide pixels of 0 to 255 by 255") from error
        finally:
            self.train(training)
        return -(terms["nll"] + terms["kl"])


class HasJoint(Generative):
    """A generative model whose p(x, z) can be evaluated at any z, so that log p(x) can be estimated."""

    @property
    @abstractmethod
    def joint(self) -> Joint:
        """p(x, z), or p(x, z|y), for samplers."""

    @abstractmethod
    def terms_of_bound(self, x: Tensor, y: Tensor | None, q: Reparameterised) -> Terms:
        """Compute the `nll` and `kl` of `evaluate_terms`, each (B,), for q(z|x) that `posterior` has computed."""


class HasJacobian(ABC):
    """A model that knows the Jacobian of its code in closed form."""

    @abstractmethod
    def squared_jacobian_norm(self, x: Tensor) -> Tensor:
        """Compute ‖∂encode(x)/∂x‖²_F of each image, (B,)."""


class Classifies(ABC):
    """A model that predicts the label of an image."""

    @abstractmethod
    def classify(self, x: Tensor) -> Tensor:
        """Compute log p(y|x), or log q(y|x), of every class, (B, classes).

        Args:
            x: Images (B, C, H, W) in [0, 1], floats of any precision; also a NumPy array.

        Raises:
            InputError: They have another shape or type.
        """
