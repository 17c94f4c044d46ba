"""Autoencoders whose code is a function of the image."""

from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor
from torch.distributions import Distribution

from vae_exp.architecture.base import Architecture
from vae_exp.corruption import Corruption
from vae_exp.likelihood import Likelihood
from vae_exp.network import Network, Shape
from vae_exp.network.base import Activation
from vae_exp.objective import Terms


class AE(Architecture):
    """−log p(x | z = f(x̃)) + λ·‖J_f(x)‖²_F.

    With a `corruption` it is the denoising autoencoder (Vincent et al. 2008, ICML), with a `contraction` the
    contractive one (Rifai et al. 2011, ICML, eq. 3).

    Args:
        shape: (C, H, W) of an image.
        network: The family of encoder and decoder.
        likelihood: Decoder features to p(x|z).
        latent_dim: Size of the code.
        latent_activation: Of the code.
        contraction: λ; the penalty is a term of its own, in the loss with this weight.
        corruption: x → x̃, in training only.
    """

    def __init__(
        self,
        shape: Shape,
        network: Network,
        likelihood: Likelihood,
        latent_dim: PositiveInt = 20,
        latent_activation: Activation = "identity",
        contraction: NonNegativeFloat = 0.0,
        corruption: Corruption | None = None,
    ) -> None:
        super().__init__()
        self.shape = shape
        self.latent_dim = latent_dim
        self.classes = 0
        self.likelihood = likelihood
        self.corruption = corruption
        self.weights = {"nll": 1.0} | ({"contraction": contraction} if contraction else {})
        self.encoder = network.encoder(shape, 0, latent_dim, latent_activation)
        self.decoder = network.decoder(latent_dim, (likelihood.parameters_per_pixel * shape[0], *shape[1:]))

    @property
    def prior(self) -> Distribution | None:
        """None: the code is whatever reconstructs best."""
        return None

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """f(x), (B, latent_dim)."""
        code: Tensor = self.encoder(x, x.new_zeros(len(x), 0))
        return code

    def decode(self, z: Tensor, y: Tensor | None = None) -> Distribution:
        """p(x|z) with batch shape (…), for latents (…, latent_dim)."""
        features = self.decoder(z.flatten(0, -2)).unflatten(0, z.shape[:-1])
        p: Distribution = self.likelihood(features)
        return p

    def corrupt(self, x: Tensor) -> Tensor:
        """x̃, or x where there is no corruption."""
        return x if self.corruption is None else self.corruption(x)

    def terms(self, x: Tensor, y: Tensor | None = None) -> Terms:
        """`nll` of the clean image and, with λ > 0, the `contraction` ‖J_f(x)‖²_F, each (B,)."""
        seen = self.corrupt(x) if self.training else x
        terms = {"nll": -self.decode(self.encode(seen)).log_prob(x)}
        if "contraction" in self.weights:
            terms["contraction"] = self.encoder.squared_jacobian_norm(x, x.new_zeros(len(x), 0))
        return terms

    def filters(self) -> Tensor:
        """The encoder's first layer as images (N, C, h, w)."""
        return self.encoder.filters()
