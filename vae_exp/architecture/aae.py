"""Adversarial autoencoders: a discriminator makes the codes look like draws from the prior."""

from collections.abc import Mapping

from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor
from torch.distributions import Distribution

from vae_exp.architecture.base import HasPrior
from vae_exp.architecture.decoding import decode_with
from vae_exp.architecture.inputs import one_hot_labels
from vae_exp.dataset.serving import Counts
from vae_exp.errors import ConfigError
from vae_exp.likelihood import Likelihood
from vae_exp.network import Network, Shape
from vae_exp.network.discriminator import Discriminator
from vae_exp.objective import Terms
from vae_exp.prior.base import BuildPrior, NeedsEncoder, Prior, Reparameterised
from vae_exp.prior.standard import StandardNormal


class AAE(HasPrior):
    """The adversarial autoencoder (Makhzani et al. 2015, arXiv 1511.05644), whose code z = f(x) is deterministic.

    Its terms are, for draws z' ~ p(z):

    - `nll`, −log p(x|z): encoder and decoder lower it;
    - `discriminator`, −log D(z') − log(1 − D(z)): only the discriminator D lowers it;
    - `adversarial`, −log D(z): only the encoder lowers it, until D cannot tell codes from draws.

    One update lowers all of them at the same time; in the paper they follow each other. `discriminator_accuracy` is the
    share of draws and codes that D recognises: ½ if it cannot tell them. There is no bound on log p(x).

    If it is `conditional`, the decoder is given the label, and z keeps the style (section 4).

    Args:
        shape: (C, H, W) of an image.
        classes: Number of classes of the data.
        network: The family of encoder and decoder.
        likelihood: Maps decoder features to p(x|z).
        latent_dim: Size of the code.
        weight: Weight of `adversarial` in the loss.
        discriminator_sizes: Units of each hidden layer of the discriminator.
        conditional: Whether the decoder is given the label.
        prior: Builds p(z), by default N(0, I). It is imposed: its parameters stay as they are.

    Raises:
        ConfigError: A conditional model has no labels, or the prior is made of q(z|x).
    """

    def __init__(
        self,
        shape: Shape,
        classes: int,
        network: Network,
        likelihood: Likelihood,
        latent_dim: PositiveInt = 8,
        weight: NonNegativeFloat = 30.0,
        discriminator_sizes: list[PositiveInt] = [500, 500],  # noqa: B006 (never changed)
        conditional: bool = False,
        prior: BuildPrior = StandardNormal,
    ) -> None:
        super().__init__()
        if conditional and not classes:
            raise ConfigError(
                "architecture.conditional=true: the decoder (architecture=aae_supervised) is given each image's label, "
                "and this dataset has none. Take a labelled dataset, or architecture=aae"
            )
        self.shape = shape
        self.latent_dim = latent_dim
        self.classes = classes if conditional else 0
        self.needs_labels = conditional
        self.likelihood = likelihood
        self.weight = weight
        self.encoder = network.encoder(shape, 0, latent_dim)
        features = (likelihood.parameters_per_pixel * shape[0], *shape[1:])
        self.decoder = network.decoder(latent_dim + self.classes, features)
        self.discriminator = Discriminator(latent_dim, discriminator_sizes)
        self.p_z = imposed(prior(latent_dim, shape))

    @property
    def prior(self) -> Distribution:
        """p(z), event (latent_dim,)."""
        p: Distribution = self.p_z(no_encoder)
        return p

    def _encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Compute f(x), (B, latent_dim)."""
        code: Tensor = self.encoder(x, x.new_zeros(x.shape[0], 0))
        return code

    def _decode(self, z: Tensor, y: Tensor | None = None) -> Distribution:
        """Compute p(x|z), or p(x|z, y) with y (B,): batch shape (…, B), for latents (…, B, latent_dim)."""
        return decode_with(self.decoder, self.likelihood, z, self._context(y, z.shape[-2]))

    def reconstruct(self, x: Tensor, y: Tensor) -> Distribution:
        """Compute p(x|z), or p(x|z, y), at the code, batch (B,)."""
        return self._decode(self._encode(x), y)

    def fill_labels(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the labels as they are: the model does not predict them."""
        return y

    def corrupt(self, x: Tensor) -> Tensor:
        """Return x: nothing is corrupted."""
        return x

    def weights(self, counts: Counts) -> Mapping[str, float]:
        """Return the weight of `adversarial`, 1 for the other losses, and 0 for the accuracy, which is only logged."""
        return {"nll": 1.0, "adversarial": self.weight, "discriminator": 1.0, "discriminator_accuracy": 0.0}

    def terms(self, x: Tensor, y: Tensor | None = None) -> Terms:
        """Compute the terms, each (B,): nats per image, and the accuracy as a share."""
        z, draws = self._encode(x), self.prior.sample((len(x),))
        return {"nll": -self._decode(z, y).log_prob(x)} | adversarial_terms(self.discriminator, draws, z)

    def evaluate_terms(self, x: Tensor, y: Tensor | None = None) -> Terms:
        """Compute the same in evaluation."""
        return self.terms(x, y)

    def filters(self) -> Tensor:
        """Return the encoder's first layer as images (N, C, h, w)."""
        return self.encoder.filters()

    def _context(self, y: Tensor | None, batch: int) -> Tensor:
        """Return the labels as one-hot vectors, (B, classes), or (B, 0) if the model is not conditional."""
        if not self.classes:
            return self._parameter.new_zeros(batch, 0)
        return one_hot_labels(y, self.classes, "a supervised AAE").to(self._parameter.dtype)


def imposed(prior: Prior) -> Prior:
    """Return a prior whose parameters are not trained.

    Raises:
        ConfigError: It is made of q(z|x), which an adversarial autoencoder does not have.
    """
    if isinstance(prior, NeedsEncoder):
        raise ConfigError(
            f"prior: this {type(prior).__name__} is made of q(z|x), and the code of an adversarial autoencoder is not "
            "random. Allowed: standard, mixture, flow"
        )
    return prior.requires_grad_(False)


def no_encoder(x: Tensor) -> Reparameterised:
    """Stand in for q(z|x), for priors that do not use it."""
    raise NotImplementedError


def adversarial_terms(discriminator: Discriminator, draws: Tensor, codes: Tensor, prefix: str = "") -> Terms:
    """Compute `adversarial`, `discriminator` and `discriminator_accuracy`, each (B,).

    Args:
        discriminator: Tells draws from codes.
        draws: Draws from the prior, (B, D).
        codes: Codes of images, (B, D).
        prefix: Stands before the name of each term.
    """
    loss, accuracy = discriminator.loss_and_accuracy(draws, codes)
    return {
        f"{prefix}adversarial": discriminator.loss_of_codes(codes),
        f"{prefix}discriminator": loss,
        f"{prefix}discriminator_accuracy": accuracy,
    }
