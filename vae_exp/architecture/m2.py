"""M2, which learns from many images, of which only a few have a label."""

import math
from collections.abc import Callable, Mapping

import torch
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor
from torch.distributions import Distribution

from vae_exp.architecture.base import Classifies, Generative
from vae_exp.architecture.decoding import decode_with
from vae_exp.architecture.inputs import check_labels
from vae_exp.architecture.latents import check_latents
from vae_exp.corruption import Corruption
from vae_exp.dataset.serving import Counts, Serving
from vae_exp.errors import ConfigError, UserError
from vae_exp.likelihood import Likelihood
from vae_exp.network import Network, Shape
from vae_exp.objective import Objective, Terms
from vae_exp.posterior.amortized import AmortizedPosterior
from vae_exp.posterior.base import BuildPosterior
from vae_exp.posterior.diagonal import Diagonal
from vae_exp.prior.base import BuildPrior, Reparameterised
from vae_exp.prior.standard import StandardNormal

Estimate = Callable[..., Terms]
"""The terms of an objective, or of its bound."""


class M2(Generative, Classifies):
    """p(y) uniform, p(z), p(x|y, z); q(y|x) a classifier, q(z|x, y) (Kingma et al. 2014, arXiv 1406.5298).

    With L(x, y) = E_q(z|x,y)[log p(x|y, z)] + log p(y) − KL(q(z|x, y)‖p(z)), a bound on log p(x, y) (eq. 6; there −L),

        U(x) = Σ_y q(y|x) L(x, y) + H(q(y|x))

    is a bound on log p(x) (eq. 7). The sum runs over all classes. An image with a label has L, as if q(y|x) were
    certain of it; an image without one has U. Both are −(nll + kl), where kl is KL(q(y, z|x)‖p(y, z)) and includes
    log p(y). In evaluations every image has U: no label is used.

    The loss is J = −Σ_labelled L − Σ_unlabelled U + α·E_labelled[−log q(y|x)] with α = alpha·N for N training images
    (eqs. 8 and 9), computed as J/N in nats per image. The mean of −log q(y|x) over the N_l labelled images has the
    weight alpha, so each of them has α/N_l times the weight of its −L.

    Args:
        shape: (C, H, W) of an image.
        classes: Number of classes of the data.
        network: The family of the encoders (the classifier is one) and the decoder.
        likelihood: Maps decoder features to p(x|y, z).
        objective: Estimates L.
        latent_dim: Size of z.
        alpha: Weight of the classification, as a multiple of N. The paper uses 0.1 and trains for many more updates.
        labelled_per_batch: Number of images of a batch that have a label, if not all images have one. Most batches
            would have none if images were drawn uniformly. The weights of the images correct for the difference
            (`dataset.batches.importance`).
        corruption: Maps x to x̃, which the classifier sees in training. U(x) is still a bound, because it is one for any
            q(y).
        prior: Builds p(z), by default N(0, I).
        posterior: Builds the family of q(z|x, y), by default normals with independent latents.

    Raises:
        ConfigError: The data has no labels, the objective does not estimate the bound, or the prior needs q(z|x).
    """

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
        corruption: Corruption | None = None,
        prior: BuildPrior = StandardNormal,
        posterior: BuildPosterior = Diagonal,
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
                "not estimate. Allowed: sgvb_b, sgvb_a, stl"
            )
        self.p_z, self.q_z = prior(latent_dim, shape), posterior(latent_dim)
        check_latents(self.p_z, self.q_z, objective, conditional=True)
        self.shape = shape
        self.latent_dim = latent_dim
        self.classes = classes
        self.likelihood = likelihood
        self.objective = objective
        self.alpha = alpha
        self.corruption = corruption
        self.serving = Serving(labelled=labelled_per_batch)
        self.classifier = network.encoder(shape, 0, classes)
        self.encoder = network.encoder(shape, classes, self.q_z.features)
        self._q = AmortizedPosterior(self.encoder, self.q_z)
        features = (likelihood.parameters_per_pixel * shape[0], *shape[1:])
        self.decoder = network.decoder(latent_dim + classes, features)
        self.register_buffer("every_label", torch.eye(classes), persistent=False)

    @property
    def prior(self) -> Distribution:
        """p(z), event (latent_dim,)."""
        p: Distribution = self.p_z(self._posterior)
        return p

    def weights(self, counts: Counts) -> Mapping[str, float]:
        """Return 1 for the terms of the bound, and α/N_l = alpha·N/N_l for the classification of a labelled image."""
        classification = self.alpha * counts.images / counts.labelled if counts.labelled else 0.0
        return {"nll": 1.0, "kl": 1.0, "classification": classification}

    def classify(self, x: Tensor) -> Tensor:
        """Compute log q(y|x) of every class, (B, classes).

        Raises:
            InputError: The images have another shape or type.
        """
        return self._classify(self._batch(x)[0])

    def _classify(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(x, x.new_zeros(x.shape[0], 0))
        return logits.log_softmax(1)

    def fill_labels(self, x: Tensor, y: Tensor | None) -> Tensor:
        """Return the labels (B,), with the most probable one of q(y|x) if a label is unknown."""
        guess = self._classify(x).argmax(1)
        return guess if y is None else torch.where(y >= 0, y, guess)

    def posterior(self, x: Tensor, y: Tensor | None = None) -> Reparameterised:
        """Compute q(z|x, y), batch (B,), event (latent_dim,). Unknown labels are predicted.

        Raises:
            InputError: Images or labels have another shape or type.
        """
        return self._posterior(*self._batch(x, y))

    def _encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Compute the mean of q(z|x, y), (B, latent_dim). Unknown labels are predicted."""
        return self._posterior(x, y).mean

    def _decode(self, z: Tensor, y: Tensor | None = None) -> Distribution:
        """Compute p(x|y, z) with batch shape (…, B), for latents (…, B, latent_dim) and labels (B,).

        Raises:
            UserError: A label is missing.
        """
        if y is None or (not torch.compiler.is_compiling() and (y < 0).any()):
            raise UserError("M2 decodes a latent together with its label: y (B,) is needed, 0 or more")
        return self._decode_with(z, self.every_label[y])

    def reconstruct(self, x: Tensor, y: Tensor) -> Distribution:
        """Compute p(x|y, z) at z ~ q(z|x, y), batch (B,). Unknown labels are predicted."""
        label = self.fill_labels(x, y)
        return self._decode(self._posterior_given(x, self.every_label[label]).sample(), label)

    def corrupt(self, x: Tensor) -> Tensor:
        """Return x: only the classifier sees corrupted images, and only in training."""
        return x

    def terms(self, x: Tensor, y: Tensor | None = None) -> Terms:
        """Compute `nll` and `kl` of L(x, y) for images with a label and of U(x) for the others, and `classification`.

        `classification` is −log q(y|x), or 0 if y is unknown. Each term has shape (B,).
        """
        seen = x if self.corruption is None else self.corruption(x)
        return self._terms(x, y, self._classify(seen), self.objective, uses_labels=True)

    def evaluate_terms(self, x: Tensor, y: Tensor | None = None) -> Terms:
        """Compute `nll` and `kl` of U(x), which uses no label, and `classification`; each (B,)."""
        return self._terms(x, y, self._classify(x), self.objective.bound, uses_labels=False)

    def _terms(self, x: Tensor, y: Tensor | None, log_q: Tensor, estimate: Estimate, uses_labels: bool) -> Terms:
        y = torch.full((len(x),), -1, device=x.device) if y is None else y
        check_labels(y, range(-1, self.classes))
        known, label = (y >= 0)[:, None], self.every_label[y.clamp(min=0)]
        classification = -(label * log_q * known).sum(1)
        if uses_labels:  # a known label is certain: q = 1 and log q = 0
            q, log_q = torch.where(known, label, log_q.exp()), torch.where(known, 0.0, log_q)
        else:
            q = log_q.exp()
        nll, kl = self._terms_of_every_label(x, estimate)
        log_p = -math.log(self.classes)
        return {"nll": (q * nll).sum(1), "kl": (q * (kl + log_q - log_p)).sum(1), "classification": classification}

    def filters(self) -> Tensor:
        """Return the first layer of q(z|x, y) as images (N, C, h, w)."""
        return self.encoder.filters()

    def _terms_of_every_label(self, x: Tensor, estimate: Estimate) -> tuple[Tensor, Tensor]:
        """Compute −E_q[log p(x|y, z)] and KL(q(z|x, y)‖p(z)) of every image with every label, (B, classes), at once."""
        c = self.every_label.repeat_interleave(len(x), 0)
        terms = estimate(
            x.repeat(self.classes, 1, 1, 1),
            lambda _: self._posterior_given(x, c),
            self.prior,
            lambda z: self._decode_with(z, c),
        )
        nll, kl = (terms[name].unflatten(0, (self.classes, len(x))).T for name in ("nll", "kl"))
        return nll, kl

    def _posterior(self, x: Tensor, y: Tensor | None = None) -> Reparameterised:
        return self._posterior_given(x, self.every_label[self.fill_labels(x, y)])

    def _posterior_given(self, x: Tensor, c: Tensor) -> Reparameterised:
        """Compute q(z|x, y) for labels as one-hot vectors c, (B, classes) or (K·B, classes)."""
        return self._q(x, c)

    def _decode_with(self, z: Tensor, c: Tensor) -> Distribution:
        return decode_with(self.decoder, self.likelihood, z, c)
