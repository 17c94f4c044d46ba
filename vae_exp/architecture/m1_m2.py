"""M1 + M2: M2 on the latents of a VAE."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor
from torch.distributions import Distribution

from vae_exp.architecture.base import Classifies, Generative
from vae_exp.architecture.m2 import M2
from vae_exp.architecture.vae import VAE
from vae_exp.dataset.serving import Counts
from vae_exp.errors import ConfigError
from vae_exp.likelihood import Gaussian, Likelihood
from vae_exp.network import MLP, Network, Shape
from vae_exp.objective import Objective, Terms
from vae_exp.posterior.base import BuildPosterior
from vae_exp.posterior.diagonal import Diagonal
from vae_exp.prior.base import BuildPrior, Reparameterised
from vae_exp.prior.normal import DiagonalNormal
from vae_exp.prior.standard import StandardNormal


class M1M2(Generative, Classifies):
    """M2 on the latents of a VAE, M1: p(y) p(z₂) p(z₁|y, z₂) p(x|z₁) (Kingma et al. 2014, arXiv 1406.5298).

    M1 is trained first, like any VAE (`architecture=vae`), and does not change afterwards. M2 is trained on draws
    z₁ ~ q(z₁|x) instead of images, with a normal p(z₁|y, z₂). The bound in evaluations is one on log p(x):
    E_q[log p(x|z₁)] + U(z₁) + H(q(z₁|x)). There z₁ is a draw too, also for the term `classification`. `classify`, and
    with it the metric `error`, uses the mean of q(z₁|x).

    Args:
        shape: (C, H, W) of an image.
        classes: Number of classes of the data.
        network: The family of all encoders and decoders.
        likelihood: Maps features to p(x|z₁).
        objective: Estimates the bounds.
        latent_dim: Size of z₂.
        features: Size of z₁, M1's latent_dim.
        alpha: As in M2, with another default.
        labelled_per_batch: As in M2.
        hidden_sizes: Hidden layers of M2's encoders; its decoder has them in reverse order. None: as in the network.
            M2 sees `features` numbers and not an image, and computes every update once for each class.
        prior: Builds p(z₂). M1 has a prior only while it is trained as a VAE; here p(z₁|y, z₂) is in its place.
        posterior: Builds the families of q(z₁|x) and q(z₂|z₁, y). M1 has to be trained with the same choice.

    Raises:
        ConfigError: As in M2, and for networks other than an MLP.
    """

    start_from_prefix: ClassVar[str] = "m1."

    def __init__(
        self,
        shape: Shape,
        classes: int,
        network: Network,
        likelihood: Likelihood,
        objective: Objective,
        latent_dim: PositiveInt = 20,
        features: PositiveInt = 20,
        alpha: NonNegativeFloat = 1.0,
        labelled_per_batch: PositiveInt = 10,
        hidden_sizes: list[PositiveInt] | None = None,
        prior: BuildPrior = StandardNormal,
        posterior: BuildPosterior = Diagonal,
    ) -> None:
        super().__init__()
        if not isinstance(network, MLP):
            raise ConfigError("network: architecture=m1_m2 has latents for images: only network=mlp goes with them")
        self.m1 = VAE(shape, 0, network, likelihood, objective, features, posterior=posterior).requires_grad_(False)
        of_latents = (features, 1, 1)
        normal = Gaussian(mean="identity")
        of_m2 = network if hidden_sizes is None else MLP(hidden_sizes, network.activation, network.init_std)
        self.m2 = M2(
            of_latents,
            classes,
            of_m2,
            normal,
            objective,
            latent_dim,
            alpha,
            labelled_per_batch,
            prior=prior,
            posterior=posterior,
        )
        self.shape = shape
        self.latent_dim = latent_dim
        self.classes = classes
        self.likelihood = likelihood
        self.serving = self.m2.serving

    @property
    def prior(self) -> Distribution:
        """p(z₂), event (latent_dim,)."""
        return self.m2.prior

    def weights(self, counts: Counts) -> Mapping[str, float]:
        """Return the weights of M2."""
        return self.m2.weights(counts)

    def classify(self, x: Tensor) -> Tensor:
        """Compute log q(y|z₁) of every class, (B, classes), at the mean of q(z₁|x).

        Raises:
            InputError: The images have another shape or type.
        """
        return self.m2._classify(self._features(self._batch(x)[0]))

    def fill_labels(self, x: Tensor, y: Tensor | None) -> Tensor:
        """Return the labels (B,), with the most probable one of q(y|z₁) if a label is unknown."""
        return self.m2.fill_labels(self._features(x), y)

    def posterior(self, x: Tensor, y: Tensor | None = None) -> Reparameterised:
        """Compute q(z₂|z₁, y) at the mean of q(z₁|x), batch (B,), event (latent_dim,). Unknown labels are predicted.

        Raises:
            InputError: Images or labels have another shape or type.
        """
        images, labels = self._batch(x, y)
        return self.m2._posterior(self._features(images), labels)

    def _encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Compute the mean of q(z₂|z₁, y) at the mean of q(z₁|x), (B, latent_dim). Unknown labels are predicted."""
        return self.m2._encode(self._features(x), y)

    def _decode(self, z: Tensor, y: Tensor | None = None) -> Distribution:
        """Compute p(x|z₁) at the mean of p(z₁|y, z₂), batch shape (…, B), for latents z₂ (…, B, latent_dim)."""
        return self.m1._decode(self.m2._decode(z, y).mean.flatten(-3))

    def reconstruct(self, x: Tensor, y: Tensor) -> Distribution:
        """Compute p(x|z₁) at z₁ ~ q(z₁|x), batch (B,)."""
        return self.m1.reconstruct(x, y)

    def corrupt(self, x: Tensor) -> Tensor:
        """Return x: nothing is corrupted."""
        return x

    def terms(self, x: Tensor, y: Tensor | None = None) -> Terms:
        """Compute the terms of M2 at draws z₁ ~ q(z₁|x), each (B,)."""
        with torch.no_grad():
            z = self.m1._posterior(x).sample()
        return self.m2.terms(z.unflatten(-1, self.m2.shape), y)

    def evaluate_terms(self, x: Tensor, y: Tensor | None = None) -> Terms:
        """Compute `nll` and `kl` of the bound on log p(x), and `classification`, at draws z₁ ~ q(z₁|x); each (B,)."""
        with torch.no_grad():
            q = self.m1._posterior(x)
            z, log_q = q.rsample_and_log_prob()
        terms = self.m2.evaluate_terms(z.unflatten(-1, self.m2.shape), y)
        nll = -self.m1._decode(z[None]).log_prob(x)[0]
        # E_q[log q(z₁|x)] in closed form, or at the draw
        negative_entropy = -q.entropy() if isinstance(q, DiagonalNormal) else log_q
        return terms | {"nll": nll, "kl": terms["nll"] + terms["kl"] + negative_entropy}

    def filters(self) -> Tensor:
        """Return the first layer of M1 as images (N, C, h, w)."""
        return self.m1.filters()

    def _features(self, x: Tensor) -> Tensor:
        """Compute the mean of q(z₁|x), as the images (B, features, 1, 1) of M2."""
        features: Tensor = self.m1._encode(x).unflatten(-1, self.m2.shape)
        return features
