"""Autoencoders whose code is a random variable."""

from collections.abc import Mapping

import torch
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor
from torch.distributions import Distribution

from vae_exp.architecture.base import EStep, HasJoint
from vae_exp.architecture.decoding import decode_with
from vae_exp.architecture.inputs import one_hot_labels
from vae_exp.architecture.latents import check_latents
from vae_exp.dataset.serving import Counts
from vae_exp.errors import ConfigError
from vae_exp.likelihood import Likelihood, true_gradient
from vae_exp.network import Network, Shape
from vae_exp.network.base import frozen
from vae_exp.network.precision import full_precision
from vae_exp.objective import ChangesDecoder, HasClosedKL, HasEStep, Objective, Terms
from vae_exp.objective.annealing import annealed_weight
from vae_exp.objective.free_bits import kl_with_free_bits
from vae_exp.posterior.amortized import AmortizedPosterior
from vae_exp.posterior.base import BuildPosterior, Posterior
from vae_exp.posterior.diagonal import Diagonal
from vae_exp.posterior.hmc import HMCPosterior, Joint
from vae_exp.prior.base import BuildPrior, Factorised, Reparameterised
from vae_exp.prior.normal import DiagonalNormal, is_normal, kl_per_latent
from vae_exp.prior.standard import StandardNormal


class VAE(HasJoint):
    """p(z), q(z|x) and p(x|z); by default p(z) = N(0, I), q(z|x) = N(μ(x), diag σ²(x)) (arXiv 1312.6114, eq. 9).

    If the objective has an E step, there is no encoder, and q(z|x) is found by Hamiltonian Monte Carlo
    (`HMCPosterior`). The code and the bound follow from q(z|x) as they do with an encoder.

    If it is `conditional` on the label, it is the CVAE: q(z|x, y) and p(x|z, y) with the same prior (Sohn et al. 2015,
    NeurIPS; Kingma et al. 2014, arXiv 1406.5298). Its bound is one on log p(x|y), not on log p(x).

    Args:
        shape: (C, H, W) of an image.
        classes: Number of classes of the data.
        network: The family of encoder and decoder.
        likelihood: Maps decoder features to p(x|z).
        objective: Estimates the bound.
        latent_dim: Size of z.
        beta: Weight of the KL in the loss (β-VAE, Higgins et al. 2017): a number, {warmup: samples} or {cycles: n} of
            the budget (`annealed_weight`). The reported bound does not depend on it.
        free_bits: λ, the nats per latent that cost nothing in the loss (`kl_with_free_bits`). The reported bound and
            the term `kl` do not depend on it.
        conditional: Whether the encoder and the decoder are given the label.
        prior: Builds p(z).
        posterior: Builds the family of q(z|x).

    Raises:
        ConfigError: A conditional model has no labels, there is no KL term that β weighs or that has free bits, or the
            objective cannot use this prior or posterior.
    """

    no_label: Tensor

    def __init__(
        self,
        shape: Shape,
        classes: int,
        network: Network,
        likelihood: Likelihood,
        objective: Objective,
        latent_dim: PositiveInt = 20,
        beta: NonNegativeFloat | dict[str, float] = 1.0,
        free_bits: NonNegativeFloat = 0.0,
        conditional: bool = False,
        prior: BuildPrior = StandardNormal,
        posterior: BuildPosterior = Diagonal,
    ) -> None:
        super().__init__()
        if conditional and not classes:
            raise ConfigError(
                "architecture.conditional=true: a conditional VAE (architecture=cvae) is given each image's label, "
                "and this dataset has none. Take a labelled dataset, or architecture=vae"
            )
        name = type(objective).__name__
        if beta != 1 and "kl" not in objective.terms:
            raise ConfigError(f"architecture.beta={beta}: {name} has no KL term to weigh. Allowed: objective=sgvb_b")
        if free_bits and not isinstance(objective, HasClosedKL):
            raise ConfigError(
                f"architecture.free_bits={free_bits:g}: needs the KL of every latent in closed form, which {name} does "
                "not use. Allowed: objective=sgvb_b, full_vb"
            )
        self.p_z, self.q_z = prior(latent_dim, shape), posterior(latent_dim)
        check_latents(self.p_z, self.q_z, objective, conditional)
        if free_bits and not (isinstance(self.p_z, Factorised) and isinstance(self.q_z, Factorised)):
            raise ConfigError(
                f"architecture.free_bits={free_bits:g}: needs the KL of every latent in closed form, which only "
                "prior=standard with posterior=diagonal has"
            )
        self.shape = shape
        self.latent_dim = latent_dim
        self.classes = classes if conditional else 0
        self.needs_labels = conditional
        self.bounds = "log p(x|y)" if conditional else "log p(x)"
        self.likelihood = likelihood
        self.objective = objective
        self.beta, annealing = annealed_weight("architecture.beta", beta)
        self.free_bits = free_bits
        self._weighted_kl = "kl_free_bits" if free_bits else "kl"
        self.annealing = {self._weighted_kl: annealing} if annealing else {}
        if isinstance(objective, HasEStep):
            self._q: Posterior = HMCPosterior(self._joint)
            self.serving = objective.serving
            self.e_step = PreciseEStep(self, objective)
        else:
            self.encoder = network.encoder(shape, self.classes, self.q_z.features)
            self._q = AmortizedPosterior(self.encoder, self.q_z)
        self.amortized = self._q.amortized
        features = (likelihood.parameters_per_pixel * shape[0], *shape[1:])
        self.decoder = network.decoder(latent_dim + self.classes, features)
        if isinstance(objective, ChangesDecoder):
            objective.adopt(self.decoder)
        self.register_buffer("no_label", torch.zeros(0), persistent=False)

    @property
    def prior(self) -> Distribution:
        """p(z), event (latent_dim,)."""
        p: Distribution = self.p_z(self._posterior)
        return p

    def posterior(self, x: Tensor, y: Tensor | None = None) -> Reparameterised:
        """Compute q(z|x), or q(z|x, y): batch (B,), event (latent_dim,).

        Raises:
            InputError: Images or labels have another shape or type.
        """
        return self._posterior(*self._batch(x, y))

    def _posterior(self, x: Tensor, y: Tensor | None = None) -> Reparameterised:
        return self._q(x, self._context(y, x.shape[0]))

    def _encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Compute the code, (B, latent_dim): the mean of q(z|x), or what `Reparameterised.mean` says."""
        return self._posterior(x, y).mean

    def _decode(self, z: Tensor, y: Tensor | None = None) -> Distribution:
        """Compute p(x|z), or p(x|z, y) with y (B,): batch shape (…, B), for latents (…, B, latent_dim)."""
        return decode_with(self.decoder, self.likelihood, z, self._context(y, z.shape[-2]))

    def reconstruct(self, x: Tensor, y: Tensor) -> Distribution:
        """Compute p(x|z), or p(x|z, y), at z ~ q(z|x): batch (B,)."""
        return self._decode(self._posterior(x, y).sample(), y)

    def fill_labels(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the labels as they are: the model does not predict them."""
        return y

    @property
    def joint(self) -> Joint:
        """p(x, z), or p(x, z|y), for samplers."""
        return self._joint()

    def _joint(self) -> Joint:
        return Joint(self.prior, self._decode_exactly, self.classes)

    def _decode_exactly(self, z: Tensor, y: Tensor | None) -> Distribution:
        """Do the same, with the true gradient of the log density, also in training: HMC needs it to move z."""
        with true_gradient(self.likelihood):
            return self._decode(z, y)

    def weights(self, counts: Counts) -> Mapping[str, float]:
        """Return β for `kl`, 1/N for `kl_weights`, which is a cost per data set, and the objective's for the others.

        With free bits, `kl_free_bits` has the weight β, and `kl` is only logged.
        """
        special = {"kl": 0.0, "kl_weights": 1 / counts.images, self._weighted_kl: self.beta, **self.objective.weights}
        return {term: special.get(term, 1.0) for term in dict.fromkeys((*self.objective.terms, self._weighted_kl))}

    def corrupt(self, x: Tensor) -> Tensor:
        """Return x: nothing is corrupted."""
        return x

    def terms(self, x: Tensor, y: Tensor | None = None) -> Terms:
        """Compute the terms of the objective, each (B,), and with free bits `kl_free_bits`."""
        if not self.free_bits:
            terms: Terms = self.objective(x, lambda x: self._posterior(x, y), self.prior, lambda z: self._decode(z, y))
            return terms
        q, p = self._posterior(x, y), self.prior
        assert isinstance(q, DiagonalNormal)
        assert is_normal(p)
        terms = self.objective(x, lambda _: q, p, lambda z: self._decode(z, y))
        return terms | {self._weighted_kl: kl_with_free_bits(kl_per_latent(q, p), self.free_bits)}

    def evaluate_terms(self, x: Tensor, y: Tensor | None = None) -> Terms:
        """Compute `nll` and `kl` of the bound, each (B,)."""
        return self.terms_of_bound(x, y, self._posterior(x, y))

    def terms_of_bound(self, x: Tensor, y: Tensor | None, q: Reparameterised) -> Terms:
        """Compute `nll` and `kl` of the bound, each (B,), for this q(z|x)."""
        return self.objective.bound(x, lambda _: q, self.prior, lambda z: self._decode(z, y))

    def filters(self) -> Tensor:
        """Return the encoder's first layer as images (N, C, h, w).

        Raises:
            UserError: There is no encoder.
        """
        return self._q.filters()

    def _context(self, y: Tensor | None, batch: int) -> Tensor:
        """Return the labels as one-hot vectors, (B, classes), or (B, 0) if the model is not conditional."""
        if not self.classes:
            return self.no_label.expand(batch, 0)
        return one_hot_labels(y, self.classes, "a conditional VAE").to(self.no_label.dtype)


class PreciseEStep(EStep):
    """The E step of a VAE's objective, in full precision: rounding would destroy the differences of energies.

    Args:
        model: The model whose latents are found.
        objective: The objective of this model.
    """

    def __init__(self, model: VAE, objective: HasEStep) -> None:
        self._model = model
        self._objective = objective

    def begin(self, images: int) -> None:
        """Prepare for a training set of `images` images, before training starts."""
        self._objective.begin(images, self._model.prior)

    def __call__(self, x: Tensor, y: Tensor, index: Tensor) -> bool:
        """Do the E step, if this evaluation of the batch x belongs to it; return whether the weights are updated."""

        def decode(z: Tensor, positions: Tensor) -> Distribution:
            return self._model._decode_exactly(z, y[positions])

        with frozen(self._model.decoder), torch.autocast(x.device.type, enabled=False), full_precision():
            return self._objective.e_step(x, index, self._model.prior, decode)
