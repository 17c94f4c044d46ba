"""The adversarial autoencoder that learns classes from a few labels."""

from collections.abc import Mapping

import torch
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor
from torch.distributions import Distribution

from vae_exp.architecture.aae import adversarial_terms, imposed, no_encoder
from vae_exp.architecture.base import Classifies, HasPrior
from vae_exp.architecture.decoding import decode_with
from vae_exp.architecture.inputs import check_labels
from vae_exp.corruption import Corruption
from vae_exp.dataset.serving import Counts, Serving
from vae_exp.errors import ConfigError, UserError
from vae_exp.likelihood import Likelihood
from vae_exp.network import Network, Shape
from vae_exp.network.discriminator import Discriminator
from vae_exp.objective import Terms
from vae_exp.prior.base import BuildPrior
from vae_exp.prior.standard import StandardNormal


class SemiSupervisedAAE(HasPrior, Classifies):
    """An adversarial autoencoder with two codes, class and style (Makhzani et al. 2015, arXiv 1511.05644, section 5).

    The encoder gives q(y|x), a softmax over the classes, and the style z; the decoder is given both. One discriminator
    compares z with draws from p(z), another one compares q(y|x) with one-hot vectors of uniform classes. So q(y|x)
    becomes certain, and the classes equally frequent. Images with a label also train −log q(y|x), whose mean over the
    N_l labelled images has the weight alpha·N, as in `M2`.

    The terms `adversarial`, `discriminator` and `discriminator_accuracy` are those of `AAE` for the style, and those
    with `class_` before them are for the class.

    Args:
        shape: (C, H, W) of an image.
        classes: Number of classes of the data.
        network: The family of encoder and decoder.
        likelihood: Maps decoder features to p(x|y, z).
        latent_dim: Size of the style.
        weight: Weight of `adversarial` and `class_adversarial` in the loss.
        discriminator_sizes: Units of each hidden layer of both discriminators.
        alpha: Weight of the classification, as a multiple of N.
        labelled_per_batch: Number of images of a batch that have a label, if not all images have one.
        corruption: Maps x to x̃, which the encoder sees in training; the decoder restores x.
        prior: Builds p(z), by default N(0, I). It is imposed: its parameters stay as they are.

    Raises:
        ConfigError: The data has no labels, or the prior is made of q(z|x).
    """

    every_label: Tensor

    def __init__(
        self,
        shape: Shape,
        classes: int,
        network: Network,
        likelihood: Likelihood,
        latent_dim: PositiveInt = 10,
        weight: NonNegativeFloat = 30.0,
        discriminator_sizes: list[PositiveInt] = [500, 500],  # noqa: B006 (never changed)
        alpha: NonNegativeFloat = 1000.0,
        labelled_per_batch: PositiveInt = 10,
        corruption: Corruption | None = None,
        prior: BuildPrior = StandardNormal,
    ) -> None:
        super().__init__()
        if not classes:
            raise ConfigError(
                "architecture=aae_semi: learns from some images with a label, and this dataset has none. "
                "Take a labelled dataset, or architecture=aae"
            )
        self.shape = shape
        self.latent_dim = latent_dim
        self.classes = classes
        self.likelihood = likelihood
        self.weight = weight
        self.alpha = alpha
        self.corruption = corruption
        self.serving = Serving(labelled=labelled_per_batch)
        self.encoder = network.encoder(shape, 0, classes + latent_dim)
        features = (likelihood.parameters_per_pixel * shape[0], *shape[1:])
        self.decoder = network.decoder(latent_dim + classes, features)
        self.discriminator = Discriminator(latent_dim, discriminator_sizes)
        self.class_discriminator = Discriminator(classes, discriminator_sizes)
        self.p_z = imposed(prior(latent_dim, shape))
        self.register_buffer("every_label", torch.eye(classes), persistent=False)

    @property
    def prior(self) -> Distribution:
        """p(z), event (latent_dim,)."""
        p: Distribution = self.p_z(no_encoder)
        return p

    def weights(self, counts: Counts) -> Mapping[str, float]:
        """Return the weights of the terms; 0 for the accuracies, which are only logged."""
        classification = self.alpha * counts.images / counts.labelled if counts.labelled else 0.0
        of_players = {"adversarial": self.weight, "discriminator": 1.0, "discriminator_accuracy": 0.0}
        of_class = {f"class_{name}": weight for name, weight in of_players.items()}
        return {"nll": 1.0, **of_players, **of_class, "classification": classification}

    def classify(self, x: Tensor) -> Tensor:
        """Compute log q(y|x) of every class, (B, classes).

        Raises:
            InputError: The images have another shape or type.
        """
        return self._codes(self._batch(x)[0])[0]

    def _codes(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Compute log q(y|x), (B, classes), and the style, (B, latent_dim)."""
        logits, z = self.encoder(x, x.new_zeros(x.shape[0], 0)).split([self.classes, self.latent_dim], 1)
        return logits.log_softmax(1), z

    def _encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Compute the style, (B, latent_dim)."""
        return self._codes(x)[1]

    def _decode(self, z: Tensor, y: Tensor | None = None) -> Distribution:
        """Compute p(x|y, z) with batch shape (…, B), for styles (…, B, latent_dim) and labels (B,).

        Raises:
            UserError: A label is missing.
        """
        if y is None or (not torch.compiler.is_compiling() and (y < 0).any()):
            raise UserError("this model decodes a style together with a label: y (B,) is needed, 0 or more")
        return self._decode_with(z, self.every_label[y])

    def _decode_with(self, z: Tensor, c: Tensor) -> Distribution:
        """Compute p(x|y, z) for classes c (B, classes), one-hot or probabilities."""
        return decode_with(self.decoder, self.likelihood, z, c)

    def reconstruct(self, x: Tensor, y: Tensor) -> Distribution:
        """Compute p(x|y, z) at the style, batch (B,). Unknown labels are predicted."""
        return self._decode(self._encode(x), self.fill_labels(x, y))

    def fill_labels(self, x: Tensor, y: Tensor | None) -> Tensor:
        """Return the labels (B,), with the most probable one of q(y|x) if a label is unknown."""
        guess = self._codes(x)[0].argmax(1)
        return guess if y is None else torch.where(y >= 0, y, guess)

    def corrupt(self, x: Tensor) -> Tensor:
        """Return x̃, or x if there is no corruption."""
        return x if self.corruption is None else self.corruption(x)

    def terms(self, x: Tensor, y: Tensor | None = None) -> Terms:
        """Compute the terms of corrupted images, each (B,): nats per image, and the accuracies as shares.

        `nll` is that of q(y|x) and the style: no label is used. `classification` is −log q(y|x), or 0 if y is unknown.
        """
        return self._terms(self.corrupt(x), x, y)

    def evaluate_terms(self, x: Tensor, y: Tensor | None = None) -> Terms:
        """Compute the same without corruption."""
        return self._terms(x, x, y)

    def _terms(self, seen: Tensor, x: Tensor, y: Tensor | None) -> Terms:
        """Compute the terms of x, (B,), if the encoder has seen x̃."""
        y = torch.full((len(x),), -1, device=x.device) if y is None else y
        check_labels(y, range(-1, self.classes))
        log_q, z = self._codes(seen)
        q = log_q.exp()
        draws = self.prior.sample((len(x),))
        classes = self.every_label[torch.randint(self.classes, (len(x),), device=x.device)]
        known, label = (y >= 0)[:, None], self.every_label[y.clamp(min=0)]
        return {
            "nll": -self._decode_with(z, q).log_prob(x),
            **adversarial_terms(self.discriminator, draws, z),
            **adversarial_terms(self.class_discriminator, classes, q, prefix="class_"),
            "classification": -(label * log_q * known).sum(1),
        }

    def filters(self) -> Tensor:
        """Return the encoder's first layer as images (N, C, h, w)."""
        return self.encoder.filters()
