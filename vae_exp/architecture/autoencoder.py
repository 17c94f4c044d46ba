"""Autoencoders whose code is a function of the image."""

from collections.abc import Mapping

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor
from torch.distributions import Distribution

from vae_exp.architecture.base import Autoencoder, HasJacobian
from vae_exp.corruption import Corruption, GaussianNoise
from vae_exp.dataset.serving import Counts
from vae_exp.likelihood import Likelihood
from vae_exp.network import Network, Shape
from vae_exp.network.base import Activation
from vae_exp.objective import Terms


class AE(Autoencoder, HasJacobian):
    """−log p(x | z = f(x̃)), and penalties on how the code changes around an image, J = ∂f/∂x, ε ~ N(0, σ²I).

    - `contraction`, ‖J(x)‖²_F: the contractive autoencoder (Rifai et al. 2011, ICML, eq. 3);
    - `stochastic_contraction`, E‖f(x) − f(x + ε)‖², which is σ²‖J(x)‖²_F + O(σ⁴): nearly the same penalty, estimated
      from draws; it costs a few forward passes, whatever the network is;
    - `higher_order_contraction`, E‖J(x) − J(x + ε)‖²_F, which is σ²‖∂²f/∂x²‖²_F + O(σ⁴): together with the first one
      the CAE+H (Rifai et al. 2011, "Higher Order Contractive Auto-Encoder", ECML).

    The weight of each penalty in the loss is the argument of the same name. The expectations are means over
    `contraction_samples` draws. With a `corruption` it is the denoising autoencoder (Vincent et al. 2008, ICML).

    Args:
        shape: (C, H, W) of an image.
        network: The family of encoder and decoder.
        likelihood: Maps decoder features to p(x|z).
        latent_dim: Size of the code.
        latent_activation: Activation of the code.
        contraction: λ, the weight of ‖J‖².
        stochastic_contraction: Weight of the change of the code.
        higher_order_contraction: γ, the weight of the change of the Jacobian.
        contraction_std: σ of ε, in units of the pixel.
        contraction_samples: Number of ε per image.
        corruption: Maps x to x̃, in training only.
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
    ) -> None:
        super().__init__()
        self.shape = shape
        self.latent_dim = latent_dim
        self.classes = 0
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

    def _encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Compute f(x), (B, latent_dim)."""
        code: Tensor = self.encoder(x, x.new_zeros(x.shape[0], 0))
        return code

    def _decode(self, z: Tensor, y: Tensor | None = None) -> Distribution:
        """Compute p(x|z) with batch shape (…), for latents (…, latent_dim)."""
        features = self.decoder(z.flatten(0, -2)).unflatten(0, z.shape[:-1])
        p: Distribution = self.likelihood(features)
        return p

    def reconstruct(self, x: Tensor, y: Tensor) -> Distribution:
        """Compute p(x|z) at the code, batch (B,)."""
        return self._decode(self._encode(x))

    def fill_labels(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the labels as they are: the decoder does not need them."""
        return y

    def corrupt(self, x: Tensor) -> Tensor:
        """Return x̃, or x if there is no corruption."""
        return x if self.corruption is None else self.corruption(x)

    def weights(self, counts: Counts) -> Mapping[str, float]:
        """Return 1 for `nll`, and the weights of the penalties."""
        return {"nll": 1.0} | self.penalties

    def terms(self, x: Tensor, y: Tensor | None = None) -> Terms:
        """Compute the `nll` of the clean image given the corrupted one, and the penalties in use; each (B,)."""
        return self._terms(self.corrupt(x), x)

    def evaluate_terms(self, x: Tensor, y: Tensor | None = None) -> Terms:
        """Compute the same without corruption."""
        return self._terms(x, x)

    def _terms(self, seen: Tensor, x: Tensor) -> Terms:
        """Compute the terms of x, (B,), if the encoder has seen x̃. The penalties are taken around x."""
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
        """Compute ‖J(x)‖²_F of each image, (B,)."""
        return self.encoder.squared_jacobian_norm(x, x.new_zeros(len(x), 0))

    def _near(self, x: Tensor) -> Tensor:
        """Draw images x + ε around each image, (S, B, C, H, W)."""
        near: Tensor = self.neighbour(x.expand(self.neighbours, *x.shape))
        return near

    def filters(self) -> Tensor:
        """Return the encoder's first layer as images (N, C, h, w)."""
        return self.encoder.filters()
