"""What every architecture promises."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vae_exp.errors import UserError
from vae_exp.likelihood import Likelihood
from vae_exp.network import Shape
from vae_exp.objective import Terms


class Architecture(nn.Module, ABC):
    """An autoencoder: images (B, C, H, W) in [0, 1], labels (B,) with −1 where unknown, latents (B, latent_dim).

    Attributes:
        shape: (C, H, W) of an image.
        latent_dim: Size of the code.
        classes: How many labels it is conditioned on; 0 where it takes none.
        likelihood: Decoder features to p(x|z).
        weights: What each term counts for in the loss.
        reconstructs: Whether its images mean something: those of a classifier do not.
        amortized: Whether an encoder gives the code, in one pass; else each image's is sought on its own.
        online: Whether it learns from minibatches; else from all training images at once.
        evaluations_per_batch: How often a batch is evaluated before the next one.
        labelled_per_batch: How many images of a batch have a label, where few do; 0 if it does not matter.
        inherits: Before which of its weights' names those of the model stand that it starts from (`start_from`).
        classifies: Whether it says which label an image has, by `classify`.
        needs_labels: Whether every training image has to have one.
    """

    shape: Shape
    latent_dim: int
    classes: int
    likelihood: Likelihood
    weights: dict[str, float]
    reconstructs: bool = True
    amortized: bool = True
    online: bool = True
    evaluations_per_batch: int = 1
    labelled_per_batch: int = 0
    classifies: bool = False
    needs_labels: bool = False
    inherits: str = ""

    @property
    @abstractmethod
    def prior(self) -> Distribution | None:
        """p(z) with event (latent_dim,), or None where the code has none."""

    @abstractmethod
    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The code of each image, (B, latent_dim); of a distribution its mean."""

    @abstractmethod
    def decode(self, z: Tensor, y: Tensor | None = None) -> Distribution:
        """p(x|z) with batch shape (…) and event shape (C, H, W), for latents (…, latent_dim)."""

    @abstractmethod
    def corrupt(self, x: Tensor) -> Tensor:
        """The images as the encoder sees them in training."""

    @abstractmethod
    def terms(self, x: Tensor, y: Tensor | None = None) -> Terms:
        """The named terms of the loss, each (B,), nats per image, unweighted."""

    @abstractmethod
    def filters(self) -> Tensor:
        """The encoder's first layer as images (N, C, h, w)."""

    def begin(self, images: int, labelled: int) -> None:
        """Prepare for so many training images, some of them labelled, before the first is seen: by default nothing."""

    def e_step(self, x: Tensor, y: Tensor, index: Tensor) -> bool:
        """What comes before an update on x, the training images number `index` (B,): by default nothing.

        Returns:
            Whether this evaluation of the batch is one that the weights are updated by.
        """
        return True

    def completed(self, x: Tensor, y: Tensor) -> Tensor:
        """The labels (B,), with a guess where they are not known: by default as they are."""
        return y

    def classify(self, x: Tensor) -> Tensor:
        """log p(y|x), or log q(y|x), of every class, (B, number of labels).

        Raises:
            UserError: It does not say.
        """
        raise UserError(f"{type(self).__name__} is no classifier here")

    def bound(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """L = E_q[log p(x|z)] − KL(q‖p) of each image, (B,), nats, whatever β is.

        Raises:
            UserError: The code has no prior, so there is no bound on log p(x).
        """
        self._distribution_of_codes()
        training = self.training
        terms = self.eval().terms(x, y)
        self.train(training)
        return -(terms["nll"] + terms["kl"])

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        """The means of p(x|z) at n latents z ~ p(z), as images (n, C, H, W).

        Args:
            n: How many.
            y: Labels (n,), where the model is conditioned on them; drawn uniformly if None.

        Raises:
            UserError: The code has no prior to sample from.
        """
        z = self._distribution_of_codes().sample((n,))
        if self.classes and y is None:
            y = torch.randint(self.classes, (n,), device=z.device)
        return self.decode(z, y).mean

    def _distribution_of_codes(self) -> Distribution:
        if self.prior is None:
            raise UserError(f"{type(self).__name__} has no prior over its code: nothing to sample from, and no bound")
        return self.prior
