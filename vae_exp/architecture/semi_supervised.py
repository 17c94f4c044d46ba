"""Autoencoders that learn from images of which few have a label."""

import math
from collections.abc import Callable, Mapping

import torch
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal
from torch.nn.functional import one_hot

from vae_exp.architecture.base import Architecture
from vae_exp.architecture.inputs import check_labels
from vae_exp.architecture.variational import VAE
from vae_exp.dataset.serving import Counts, Serving
from vae_exp.errors import ConfigError, UserError
from vae_exp.likelihood import Gaussian, Likelihood
from vae_exp.network import MLP, Network, Shape
from vae_exp.network.linear import joined
from vae_exp.objective import Normals, Objective, Terms
from vae_exp.prior.normal import DiagonalNormal

Estimate = Callable[..., Terms]
"""An objective's terms, or those of its bound."""


class M2(Architecture):
    """p(y) uniform, p(z) = N(0, I), p(x|y, z); q(y|x) a classifier, q(z|x, y) (Kingma et al. 2014, arXiv 1406.5298).

    With L(x, y) = E_q(z|x,y)[log p(x|y, z)] + log p(y) − KL(q(z|x, y)‖p(z)), a bound on log p(x, y) (eq. 6; there −L),

        U(x) = Σ_y q(y|x) L(x, y) + H(q(y|x))

    is a bound on log p(x) (eq. 7), by a sum over all classes. An image with a label has L, as if q(y|x) were sure of
    it, one without has U. Both are −(nll + kl), the latter KL(q(y, z|x)‖p(y, z)) with log p(y) in it. In evaluations
    every image has U: no label is used.

    What is minimised is J = −Σ_labelled L − Σ_unlabelled U + α·E_labelled[−log q(y|x)] with α = alpha·N for N training
    images (eqs. 8 and 9), as J/N in nats per image: the mean of −log q(y|x) over the N_l labelled images counts alpha,
    and so each of them α/N_l times what its −L counts.

    Args:
        shape: (C, H, W) of an image.
        classes: How many labels the data has.
        network: The family of the encoders (the classifier is one) and the decoder.
        likelihood: Decoder features to p(x|y, z).
        objective: How L is estimated.
        latent_dim: Size of z.
        alpha: Weight of the classification, as a multiple of N; the paper has 0.1, with many more updates.
        labelled_per_batch: How many images of a batch have a label, where not all have one. What an image counts for
            is set right again (`dataset.batches.importance`): drawn alike, most batches would hold none of them.

    Raises:
        ConfigError: The data has no labels, or the objective is not the bound's.
    """

    classifies = True
    prior_mean: Tensor
    prior_std: Tensor
    every_label: Tensor

    def __init__(
        self,
        shape: Shape,
        classes: int,
        network: Network,
        likelihood: Likelihood,
        objective: Objective,
        latent_dim: PositiveInt = 50,
        alpha: NonNegativeFloat = 10.0,
        labelled_per_batch: PositiveInt = 10,
    ) -> None:
        super().__init__()
        if not classes:
            raise ConfigError(
                "architecture=m2: learns from some images with a label, and this dataset has none. "
                "Take a labelled dataset, or architecture=vae"
            )
        if objective.terms != ("nll", "kl"):
            raise ConfigError(
                f"objective: architecture=m2 weighs the bounds of all classes, which {type(objective).__name__} does "
                "not estimate. Allowed: sgvb_b, sgvb_a"
            )
        self.shape = shape
        self.latent_dim = latent_dim
        self.classes = classes
        self.likelihood = likelihood
        self.objective = objective
        self.alpha = alpha
        self.serving = Serving(labelled=labelled_per_batch)
        self.classifier = network.encoder(shape, 0, classes)
        self.encoder = network.encoder(shape, classes, 2 * latent_dim)
        features = (likelihood.parameters_per_pixel * shape[0], *shape[1:])
        self.decoder = network.decoder(latent_dim + classes, features)
        self.register_buffer("prior_mean", torch.zeros(latent_dim), persistent=False)
        self.register_buffer("prior_std", torch.ones(latent_dim), persistent=False)
        self.register_buffer("every_label", torch.eye(classes), persistent=False)

    @property
    def prior(self) -> Normals:
        """p(z) = N(0, I), event (latent_dim,)."""
        return Independent(Normal(self.prior_mean, self.prior_std), 1)

    def weights(self, counts: Counts) -> Mapping[str, float]:
        """1 for the bound's terms; α/N_l = alpha·N/N_l for the classification of a labelled image."""
        classification = self.alpha * counts.images / counts.labelled if counts.labelled else 0.0
        return {"nll": 1.0, "kl": 1.0, "classification": classification}

    def _classify(self, x: Tensor) -> Tensor:
        """log q(y|x), (B, classes)."""
        logits: Tensor = self.classifier(x, x.new_zeros(len(x), 0))
        return logits.log_softmax(1)

    def completed(self, x: Tensor, y: Tensor | None) -> Tensor:
        """The labels (B,), where they are not known the most probable ones of q(y|x)."""
        guess = self._classify(x).argmax(1)
        return guess if y is None else torch.where(y >= 0, y, guess)

    def _encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The mean of q(z|x, y), (B, latent_dim), y guessed where it is not known."""
        return self._posterior(x, self.every_label[self.completed(x, y)]).mean

    def _decode(self, z: Tensor, y: Tensor | None = None) -> Distribution:
        """p(x|y, z) with y (B,): batch shape (…, B), for latents (…, B, latent_dim).

        Raises:
            UserError: A label is not given.
        """
        if y is None or (y < 0).any():
            raise UserError("M2 decodes a latent together with its label: y (B,) is needed, 0 or more")
        return self._decode_with(z, self.every_label[y])

    def reconstruct(self, x: Tensor, y: Tensor) -> Distribution:
        """p(x|y, z) at z ~ q(z|x, y), y guessed where it is not known: batch (B,)."""
        label = self.completed(x, y)
        return self._decode(self._posterior(x, self.every_label[label]).sample(), label)

    def corrupt(self, x: Tensor) -> Tensor:
        """x: nothing is corrupted."""
        return x

    def terms(self, x: Tensor, y: Tensor | None = None) -> Terms:
        """`nll` and `kl` of L(x, y) for an image with a label and of U(x) for one without, and `classification`.

        The last is −log q(y|x), 0 where y is not known. Each (B,).
        """
        return self._terms(x, y, self.objective, uses_labels=True)

    def evaluate_terms(self, x: Tensor, y: Tensor | None = None) -> Terms:
        """`nll` and `kl` of U(x), which uses no label, and `classification`; each (B,)."""
        return self._terms(x, y, self.objective.bound, uses_labels=False)

    def _terms(self, x: Tensor, y: Tensor | None, estimate: Estimate, uses_labels: bool) -> Terms:
        y = torch.full((len(x),), -1, device=x.device) if y is None else y
        check_labels(y, range(-1, self.classes))
        known, label = (y >= 0)[:, None], one_hot(y.clamp(min=0), self.classes)
        log_q = self._classify(x)
        classification = -(label * log_q * known).sum(1)
        if uses_labels:  # a label that is known is certain: q = 1 and log q = 0
            q, log_q = torch.where(known, label, log_q.exp()), torch.where(known, 0.0, log_q)
        else:
            q = log_q.exp()
        nll, kl = self._terms_of_every_label(x, estimate)
        log_p = -math.log(self.classes)
        return {"nll": (q * nll).sum(1), "kl": (q * (kl + log_q - log_p)).sum(1), "classification": classification}

    def filters(self) -> Tensor:
        """The first layer of q(z|x, y) as images (N, C, h, w)."""
        return self.encoder.filters()

    def _terms_of_every_label(self, x: Tensor, estimate: Estimate) -> tuple[Tensor, Tensor]:
        """−E_q[log p(x|y, z)] and KL(q(z|x, y)‖p(z)) of every image with every label, (B, classes): one pass."""
        c = self.every_label.repeat_interleave(len(x), 0)
        terms = estimate(
            x.repeat(self.classes, 1, 1, 1),
            lambda _: self._posterior(x, c),
            self.prior,
            lambda z: self._decode_with(z, c),
        )
        nll, kl = (terms[name].unflatten(0, (self.classes, len(x))).T for name in ("nll", "kl"))
        return nll, kl

    def _posterior(self, x: Tensor, c: Tensor) -> DiagonalNormal:
        """q(z|x, y) with the labels as c (B, classes), or (K·B, classes): as the encoder; event (latent_dim,)."""
        return DiagonalNormal(*self.encoder(x, c).chunk(2, dim=-1))

    def _decode_with(self, z: Tensor, c: Tensor) -> Distribution:
        c = c.expand(*z.shape[:-1], -1)
        features = self.decoder(joined(z.flatten(0, -2), c.flatten(0, -2))).unflatten(0, z.shape[:-1])
        p: Distribution = self.likelihood(features)
        return p


class M1M2(Architecture):
    """M2 on the latents of a VAE, M1: p(y) p(z₂) p(z₁|y, z₂) p(x|z₁) (Kingma et al. 2014, arXiv 1406.5298).

    M1 is trained first, as any VAE (`architecture=vae`), and stays as it is: what is trained is M2, on draws
    z₁ ~ q(z₁|x) in place of images, with a normal p(z₁|y, z₂). In evaluations the bound is that on log p(x):
    E_q[log p(x|z₁)] + U(z₁) + H(q(z₁|x)). There too z₁ is a draw, also for the term `classification`; `classify`, and
    so the metric `error`, is at the mean of q(z₁|x).

    Args:
        shape: (C, H, W) of an image.
        classes: How many labels the data has.
        network: The family of all encoders and decoders.
        likelihood: Features to p(x|z₁).
        objective: How the bounds are estimated.
        latent_dim: Size of z₂.
        features: Size of z₁, M1's latent_dim.
        alpha: As in M2.
        labelled_per_batch: As in M2.

    Raises:
        ConfigError: As in M2, and for networks other than an MLP.
    """

    classifies = True
    inherits = "m1."

    def __init__(
        self,
        shape: Shape,
        classes: int,
        network: Network,
        likelihood: Likelihood,
        objective: Objective,
        latent_dim: PositiveInt = 50,
        features: PositiveInt = 50,
        alpha: NonNegativeFloat = 10.0,
        labelled_per_batch: PositiveInt = 10,
    ) -> None:
        super().__init__()
        if not isinstance(network, MLP):
            raise ConfigError("network: architecture=m1_m2 has latents for images: only network=mlp goes with them")
        self.m1 = VAE(shape, 0, network, likelihood, objective, features).requires_grad_(False)
        of_latents = (features, 1, 1)
        normal = Gaussian(mean="identity")
        self.m2 = M2(of_latents, classes, network, normal, objective, latent_dim, alpha, labelled_per_batch)
        self.shape = shape
        self.latent_dim = latent_dim
        self.classes = classes
        self.likelihood = likelihood
        self.serving = self.m2.serving

    @property
    def prior(self) -> Normals:
        """p(z₂) = N(0, I), event (latent_dim,)."""
        return self.m2.prior

    def weights(self, counts: Counts) -> Mapping[str, float]:
        """As M2's."""
        return self.m2.weights(counts)

    def _classify(self, x: Tensor) -> Tensor:
        """log q(y|x), at the mean of q(z₁|x), (B, classes)."""
        return self.m2._classify(self._features(x))

    def completed(self, x: Tensor, y: Tensor | None) -> Tensor:
        """The labels (B,), where they are not known the most probable ones of q(y|x)."""
        return self.m2.completed(self._features(x), y)

    def _encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The mean of q(z₂|z₁, y) at that of q(z₁|x), (B, latent_dim), y guessed where it is not known."""
        return self.m2._encode(self._features(x), y)

    def _decode(self, z: Tensor, y: Tensor | None = None) -> Distribution:
        """p(x|z₁) at the mean of p(z₁|y, z₂), with batch shape (…, B), for latents z₂ (…, B, latent_dim)."""
        return self.m1._decode(self.m2._decode(z, y).mean.flatten(-3))

    def reconstruct(self, x: Tensor, y: Tensor) -> Distribution:
        """p(x|z₁) at z₁ ~ q(z₁|x): batch (B,)."""
        return self.m1.reconstruct(x, y)

    def corrupt(self, x: Tensor) -> Tensor:
        """x: nothing is corrupted."""
        return x

    def terms(self, x: Tensor, y: Tensor | None = None) -> Terms:
        """The terms of M2 at draws z₁ ~ q(z₁|x), each (B,)."""
        with torch.no_grad():
            z = self.m1._posterior(x).sample()
        return self.m2.terms(z.unflatten(-1, self.m2.shape), y)

    def evaluate_terms(self, x: Tensor, y: Tensor | None = None) -> Terms:
        """`nll` and `kl` of the bound on log p(x), and `classification`, at draws z₁ ~ q(z₁|x); each (B,)."""
        with torch.no_grad():
            q = self.m1._posterior(x)
            z = q.sample()
        terms = self.m2.evaluate_terms(z.unflatten(-1, self.m2.shape), y)
        nll = -self.m1._decode(z[None]).log_prob(x)[0]
        return terms | {"nll": nll, "kl": terms["nll"] + terms["kl"] - q.entropy()}

    def filters(self) -> Tensor:
        """M1's first layer as images (N, C, h, w)."""
        return self.m1.filters()

    def _features(self, x: Tensor) -> Tensor:
        """The mean of q(z₁|x) as M2's images (B, features, 1, 1)."""
        features: Tensor = self.m1._encode(x).unflatten(-1, self.m2.shape)
        return features
