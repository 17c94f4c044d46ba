"""Autoencoders whose code is a function of the image."""

from collections.abc import Mapping

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn.functional import log_softmax

from vae_exp.architecture.base import Architecture, HasJacobian
from vae_exp.architecture.classification import class_terms, softmax_layer
from vae_exp.corruption import Corruption, GaussianNoise
from vae_exp.dataset.serving import Counts
from vae_exp.likelihood import Likelihood
from vae_exp.network import Network, Shape
from vae_exp.network.base import Activation
from vae_exp.objective import Terms


class AE(Architecture, HasJacobian):
    """−log p(x | z = f(x̃)), and penalties on how the code changes around an image, J = ∂f/∂x, ε ~ N(0, σ²I).

    - `contraction`, ‖J(x)‖²_F: the contractive autoencoder (Rifai et al. 2011, ICML, eq. 3);
    - `stochastic_contraction`, E‖f(x) − f(x + ε)‖², which is σ²‖J(x)‖²_F + O(σ⁴): the same by sampling, at the price of
      a few forward passes whatever the network;
    - `higher_order_contraction`, E‖J(x) − J(x + ε)‖²_F, which is σ²‖∂²f/∂x²‖²_F + O(σ⁴): beside the first one the
      CAE+H (Rifai et al. 2011, "Higher Order Contractive Auto-Encoder", ECML).

    Each is in the loss with the weight that the argument of its name gives; the expectations are means over
    `contraction_samples` draws. With a `corruption` it is the denoising autoencoder (Vincent et al. 2008, ICML).

    `supervised` puts a softmax layer on top of the code and trains it and the encoder on −log p(y|x) alone, without
    corruption or penalty: from the weights of one that was trained without labels, that is its fine-tuning.

    Args:
        shape: (C, H, W) of an image.
        network: The family of encoder and decoder.
        likelihood: Decoder features to p(x|z).
        latent_dim: Size of the code.
        latent_activation: Of the code.
        contraction: λ, the weight of ‖J‖².
        stochastic_contraction: The weight of the code's change.
        higher_order_contraction: γ, the weight of the Jacobian's change.
        contraction_std: σ of ε, in units of the pixel.
        contraction_samples: How many ε per image.
        corruption: x → x̃, in training only.
        supervised: Train the classifier.
        classes: How many labels the data has.

    Raises:
        ConfigError: There are no labels to train a classifier on.
    """

    def __init__(
        self,
        shape: Shape,
        network: Network,
        likelihood: Likelihood,
        latent_dim: PositiveInt = 20,
        latent_activation: Activation = "identity",
        contraction: NonNegativeFloat = 0.0,
        stochastic_contraction: NonNegativeFloat = 0.0,
        higher_order_contraction: NonNegativeFloat = 0.0,
        contraction_std: PositiveFloat = 0.1,
        contraction_samples: PositiveInt = 4,
        corruption: Corruption | None = None,
        supervised: bool = False,
        classes: int = 0,
    ) -> None:
        super().__init__()
        self.shape = shape
        self.latent_dim = latent_dim
        self.classes = 0  # none that a code or an image is conditioned on
        self.likelihood = likelihood
        self.corruption = corruption
        self.neighbour = GaussianNoise(contraction_std)
        self.neighbours = contraction_samples
        penalties = {
            "contraction": contraction,
            "stochastic_contraction": stochastic_contraction,
            "higher_order_contraction": higher_order_contraction,
        }
        self.penalties = {name: weight for name, weight in penalties.items() if weight}
        self.encoder = network.encoder(shape, 0, latent_dim, latent_activation)
        features = (likelihood.parameters_per_pixel * shape[0], *shape[1:])
        self.decoder = network.decoder(latent_dim, features, self.encoder)
        self.softmax: nn.Module | None = None
        if supervised:
            self.softmax = softmax_layer(latent_dim, classes)
            self.reconstructs, self.classifies, self.needs_labels = False, True, True
            self.decoder.requires_grad_(False)
            self.encoder.requires_grad_(True)  # also what the decoder shares with it

    @property
    def prior(self) -> Distribution | None:
        """None: the code is whatever reconstructs best."""
        return None

    def _encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """f(x), (B, latent_dim)."""
        code: Tensor = self.encoder(x, x.new_zeros(len(x), 0))
        return code

    def _decode(self, z: Tensor, y: Tensor | None = None) -> Distribution:
        """p(x|z) with batch shape (…), for latents (…, latent_dim)."""
        features = self.decoder(z.flatten(0, -2)).unflatten(0, z.shape[:-1])
        p: Distribution = self.likelihood(features)
        return p

    def corrupt(self, x: Tensor) -> Tensor:
        """x̃, or x where there is no corruption."""
        return x if self.corruption is None or self.classifies else self.corruption(x)

    def _classify(self, x: Tensor) -> Tensor:
        """log p(y|x) of a supervised one, (B, classes)."""
        return super()._classify(x) if self.softmax is None else log_softmax(self.softmax(self._encode(x)), -1)

    def weights(self, counts: Counts) -> Mapping[str, float]:
        """1 for `nll` and the penalties' own; 1 for `cross_entropy`, if it is supervised."""
        return {"cross_entropy": 1.0} if self.classifies else {"nll": 1.0} | self.penalties

    def terms(self, x: Tensor, y: Tensor | None = None) -> Terms:
        """`nll` of the clean image by the corrupted one, and the penalties that have a weight; each (B,).

        Supervised: `cross_entropy` −log p(y|x).
        """
        return self._terms(self.corrupt(x), x, y)

    def evaluate_terms(self, x: Tensor, y: Tensor | None = None) -> Terms:
        """The same of an image that is not corrupted."""
        return self._terms(x, x, y)

    def _terms(self, seen: Tensor, x: Tensor, y: Tensor | None) -> Terms:
        """The terms of x, (B,), where the encoder has seen x̃; the penalties are around x."""
        if self.classifies:
            return class_terms(self._classify(x), y)
        terms = {"nll": -self._decode(self._encode(seen)).log_prob(x)}
        c = x.new_zeros(len(x), 0)
        if "contraction" in self.penalties:
            terms["contraction"] = self.squared_jacobian_norm(x)
        if "stochastic_contraction" in self.penalties:
            near = self._near(x)
            change = self._encode(x) - self._encode(near.flatten(0, 1)).unflatten(0, near.shape[:2])
            terms["stochastic_contraction"] = change.square().sum(-1).mean(0)
        if "higher_order_contraction" in self.penalties:
            terms["higher_order_contraction"] = self.encoder.squared_jacobian_change(x, self._near(x), c).mean(0)
        return terms

    def squared_jacobian_norm(self, x: Tensor) -> Tensor:
        """‖J(x)‖²_F of each image, (B,)."""
        return self.encoder.squared_jacobian_norm(x, x.new_zeros(len(x), 0))

    def _near(self, x: Tensor) -> Tensor:
        """Images x + ε around each image, (S, B, C, H, W)."""
        near: Tensor = self.neighbour(x.expand(self.neighbours, *x.shape))
        return near

    def filters(self) -> Tensor:
        """The encoder's first layer as images (N, C, h, w)."""
        return self.encoder.filters()
