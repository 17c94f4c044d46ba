"""Classifiers that are built around an autoencoder: its fine-tuning."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from vae_exp.architecture.base import Autoencoder, Classifies, Model
from vae_exp.architecture.inputs import check_labels
from vae_exp.dataset.serving import Counts
from vae_exp.errors import ConfigError, UserError
from vae_exp.network import Shape
from vae_exp.network.linear import Linear
from vae_exp.objective import Terms


class Classifier(Model, Classifies):
    """p(y|x) = softmax(V f(x) + c), a softmax layer on the code f(x) of an autoencoder.

    The layer and everything that the code depends on are trained on −log p(y|x), without corruption or penalty. With
    the weights of an autoencoder that was trained without labels (`start_from`), this is its fine-tuning (Bengio et al.
    2007, NIPS; Vincent et al. 2010, JMLR 11, section 5.2).

    Args:
        shape: (C, H, W) of an image.
        classes: Number of classes of the data.
        encoder: The autoencoder whose code is classified.

    Raises:
        ConfigError: The data has no labels, or the code is not a function of the image alone.
    """

    start_from_prefix: ClassVar[str] = "encoder."
    needs_labels = True

    def __init__(self, shape: Shape, classes: int, encoder: Autoencoder) -> None:
        super().__init__()
        if not classes:
            raise ConfigError("head=classifier: this dataset has no labels to learn")
        if encoder.classes or not encoder.amortized:
            raise ConfigError(
                f"head=classifier: the code of this {type(encoder).__name__} is not a function of the image alone"
            )
        self.shape = shape
        self.classes = classes
        self.encoder = encoder
        self.softmax = Linear(encoder.latent_dim, classes)
        _train_only_the_code(encoder)

    @property
    def autoencoder(self) -> Autoencoder:
        """The autoencoder whose code is classified."""
        return self.encoder

    def encode(self, x: Tensor) -> Tensor:
        """Compute the code of each image, (B, latent_dim), as `Autoencoder.encode` does."""
        return self.encoder.encode(x)

    def classify(self, x: Tensor) -> Tensor:
        """Compute log p(y|x) of every class, (B, classes).

        Raises:
            InputError: The images have another shape or type.
        """
        return self._classify(self._batch(x)[0])

    def terms(self, x: Tensor, y: Tensor | None = None) -> Terms:
        """Compute `cross_entropy` = −log p(y|x), (B,), in nats.

        Raises:
            UserError: There are no labels, or one is unknown.
        """
        if y is None:
            raise UserError("a classifier needs the labels y (B,)")
        check_labels(y, range(self.classes))
        return {"cross_entropy": -self._classify(x).gather(1, y[:, None]).squeeze(1)}

    def evaluate_terms(self, x: Tensor, y: Tensor | None = None) -> Terms:
        """Compute the same in evaluation."""
        return self.terms(x, y)

    def weights(self, counts: Counts) -> Mapping[str, float]:
        """Return 1 for the only term."""
        return {"cross_entropy": 1.0}

    def _classify(self, x: Tensor) -> Tensor:
        return log_softmax(self.softmax(self.encoder._encode(x)), -1)


def _train_only_the_code(autoencoder: Autoencoder) -> None:
    """Freeze the parameters that the code does not depend on. A tied decoder shares some that it does depend on."""
    autoencoder.requires_grad_(True)
    parameters = list(autoencoder.parameters())
    with torch.enable_grad():
        code = autoencoder._encode(torch.zeros(1, *autoencoder.shape, device=parameters[0].device))
        gradients = torch.autograd.grad(code.sum(), parameters, allow_unused=True)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.requires_grad_(gradient is not None)
