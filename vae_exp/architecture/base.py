"""What every architecture promises."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vae_exp.architecture.inputs import finite, floats, integers, whole
from vae_exp.dataset.serving import ALIKE, Counts, Serving
from vae_exp.errors import InputError, UserError
from vae_exp.likelihood import Likelihood
from vae_exp.network import Shape
from vae_exp.objective import Terms
from vae_exp.posterior.hmc import Joint
from vae_exp.prior.normal import DiagonalNormal


class Architecture(nn.Module, ABC):
    """An autoencoder: images (B, C, H, W) in [0, 1], labels (B,) with −1 where unknown, latents (B, latent_dim).

    Attributes:
        shape: (C, H, W) of an image.
        latent_dim: Size of the code.
        classes: How many labels it is conditioned on; 0 where it takes none.
        likelihood: Decoder features to p(x|z).
        reconstructs: Whether its images mean something: those of a classifier do not.
        amortized: Whether an encoder gives the code, in one pass; else each image's is sought on its own.
        serving: How training batches are to be served.
        inherits: Before which of its weights' names those of the model stand that it starts from (`start_from`).
        classifies: Whether it says which label an image has, by `classify`.
        bounds: What `bound` is a lower bound of, where there is a prior.
        needs_labels: Whether every training image has to have one.
    """

    shape: Shape
    latent_dim: int
    classes: int
    likelihood: Likelihood
    reconstructs: bool = True
    amortized: bool = True
    serving: Serving = ALIKE
    classifies: bool = False
    bounds: str = "log p(x)"
    needs_labels: bool = False
    inherits: str = ""

    @property
    @abstractmethod
    def prior(self) -> Distribution | None:
        """p(z) with event (latent_dim,), or None where the code has none."""

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The code of each image, (B, latent_dim); of a distribution its mean.

        Args:
            x: Images (B, C, H, W) in [0, 1], floats of any precision; also a NumPy array.
            y: Labels (B,), integers, for a model that takes them.

        Raises:
            InputError: They have another shape or type.
        """
        return self._encode(*self._batch(x, y))

    def decode(self, z: Tensor, y: Tensor | None = None) -> Distribution:
        """p(x|z) with batch shape (…, B) and event shape (C, H, W).

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
        """`encode`, of images and labels as they should be."""

    @abstractmethod
    def _decode(self, z: Tensor, y: Tensor | None = None) -> Distribution:
        """`decode`, of latents and labels as they should be."""

    @abstractmethod
    def corrupt(self, x: Tensor) -> Tensor:
        """The images as the encoder sees them in training."""

    @abstractmethod
    def terms(self, x: Tensor, y: Tensor | None = None) -> Terms:
        """The terms that are trained: named, each (B,), nats per image, unweighted."""

    @abstractmethod
    def evaluate_terms(self, x: Tensor, y: Tensor | None = None) -> Terms:
        """The terms that are reported: named, each (B,), nats per image; with a prior `nll` and `kl` of the bound."""

    @abstractmethod
    def weights(self, counts: Counts) -> Mapping[str, float]:
        """The weight of each term in the loss.

        Args:
            counts: The numbers of training images.
        """

    @abstractmethod
    def filters(self) -> Tensor:
        """The encoder's first layer as images (N, C, h, w)."""

    def prepare(self, images: int) -> None:
        """Get ready for this many training images, before the first one is seen: by default there is nothing to do."""

    def e_step(self, x: Tensor, y: Tensor, index: Tensor) -> bool:
        """What comes before an update on x, the training images number `index` (B,): by default nothing.

        Returns:
            Whether this evaluation of the batch is one that the weights are updated by.
        """
        return True

    def completed(self, x: Tensor, y: Tensor) -> Tensor:
        """The labels (B,), with a guess where they are not known: by default as they are."""
        return y

    def reconstruct(self, x: Tensor, y: Tensor) -> Distribution:
        """p(x|z) of each image, batch (B,), at a draw z ~ q(z|x), as in `nll`; at the code itself where it is no draw.

        Args:
            x: Images (B, C, H, W).
            y: Labels (B,), −1 where unknown.
        """
        return self._decode(self._encode(x, y), self.completed(x, y))

    def classify(self, x: Tensor) -> Tensor:
        """log p(y|x), or log q(y|x), of every class, (B, number of labels).

        Args:
            x: Images (B, C, H, W) in [0, 1], floats of any precision; also a NumPy array.

        Raises:
            UserError: It does not say.
            InputError: They have another shape or type.
        """
        return self._classify(self._batch(x)[0])

    def _classify(self, x: Tensor) -> Tensor:
        """`classify`, of images as they should be: by default it does not say."""
        raise UserError(f"{type(self).__name__} is no classifier here")

    def bound(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """L = E_q[log p(x|z)] − KL(q‖p) of each image, (B,), nats, whatever β is.

        Args:
            x: Images (B, C, H, W) in [0, 1], floats of any precision; also a NumPy array.
            y: Labels (B,), integers, for a model that takes them.

        Raises:
            UserError: The code has no prior, so there is no bound on log p(x).
            InputError: Images or labels have another shape or type, or pixels lie outside of [0, 1].
        """
        self._distribution_of_codes()
        images, labels = self._batch(x, y)
        training = self.training
        try:
            terms = self.eval().evaluate_terms(images, labels)
        except ValueError as error:  # of torch.distributions
            raise InputError("x: the likelihood has no density there: divide pixels of 0 to 255 by 255") from error
        finally:
            self.train(training)
        return -(terms["nll"] + terms["kl"])

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        """The means of p(x|z) at n latents z ~ p(z), as images (n, C, H, W).

        Args:
            n: How many.
            y: Labels (n,), where the model is conditioned on them; drawn uniformly if None.

        Raises:
            UserError: The code has no prior to sample from.
            InputError: n is no whole number, or the labels have another shape or type.
        """
        z = self._distribution_of_codes().sample((whole("n", n),))
        if self.classes and y is None:
            y = torch.randint(self.classes, (n,), device=z.device)
        return self.decode(z, y).mean

    @property
    def _parameter(self) -> Tensor:
        """One of the model's: on its device, of its precision."""
        return next(self.parameters())

    def _batch(self, x: Any, y: Any = None) -> tuple[Tensor, Tensor | None]:
        """Images and labels as they should be."""
        wanted = f"images (B, {', '.join(map(str, self.shape))}) in [0, 1]"
        images = floats("x", x, self.shape, wanted, self._parameter)
        if images.ndim != 1 + len(self.shape):
            raise InputError(f"x: {wanted} are needed, not {tuple(images.shape)}")
        if not finite(images):
            raise InputError(f"x: {wanted} are needed; there is NaN or infinity among the pixels")
        return images, self._labels(y, len(images))

    def _labels(self, y: Any, count: int) -> Tensor | None:
        if y is None:
            return None
        known = range(0 if self.needs_labels else -1, self.classes)
        return integers("y", y, count, known, self._parameter)

    def _distribution_of_codes(self) -> Distribution:
        if self.prior is None:
            raise UserError(f"{type(self).__name__} has no prior over its code: nothing to sample from, and no bound")
        return self.prior


class Generative(Architecture):
    """A model whose p(x, z) and q(z|x) can be evaluated at any z: log p(x) can be estimated."""

    @property
    @abstractmethod
    def prior(self) -> Distribution:
        """p(z) with event (latent_dim,)."""

    @property
    @abstractmethod
    def joint(self) -> Joint:
        """p(x, z), or p(x, z|y), for samplers."""

    @abstractmethod
    def posterior(self, x: Tensor, y: Tensor | None = None) -> DiagonalNormal:
        """q(z|x), or q(z|x, y): batch (B,), event (latent_dim,).

        Raises:
            InputError: Images or labels have another shape or type.
        """


class HasJacobian(ABC):
    """A model that knows the Jacobian of its code in closed form."""

    @abstractmethod
    def squared_jacobian_norm(self, x: Tensor) -> Tensor:
        """‖∂encode(x)/∂x‖²_F of each image, (B,)."""
