"""Evaluates a model on a split: the terms of its loss and, with a prior, the bound and log p(x)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from vae_exp.architecture import Autoencoder, Classifies, Generative, HasJoint, Model
from vae_exp.dataset.batches import EvaluationBatches
from vae_exp.errors import UserError
from vae_exp.evaluation.active_units import active_units
from vae_exp.evaluation.bits import bits_per_dim
from vae_exp.evaluation.codes import visible_labels
from vae_exp.evaluation.marginal_likelihood import by_posterior_samples
from vae_exp.evaluation.standard_errors import standard_error
from vae_exp.network.base import frozen
from vae_exp.network.precision import full_precision
from vae_exp.prior.base import Reparameterised
from vae_exp.prior.normal import DiagonalNormal, is_normal, kl_per_latent

TERMS_OF_LABELLED_IMAGES = ("classification", "error")
"""Terms that only labelled images have; their means are over these images."""

MOST_ENCODED_IMAGES = 10_000
"""Only the first images of a split are encoded to look at the latents, because encoding all takes too long."""


@dataclass(frozen=True)
class Evaluation:
    """A model on a split.

    Attributes:
        means: Means over the images by name, and counts.
        kl_per_latent: The mean KL of every latent over the first 10,000 images, (latent_dim,) in nats, if the model has
            an encoder, and the prior and the posterior are normals with independent latents; otherwise empty.
    """

    means: dict[str, float]
    kl_per_latent: list[float]


@torch.no_grad()
def evaluate(
    architecture: Model, batches: EvaluationBatches, seed: int = 0, marginal_likelihood: bool = False
) -> Evaluation:
    """Compute means over a split in evaluation mode, in nats per image.

    If the pixels are standardised, log densities are those of the original pixels: log p(x) = log p'(x') − Σ log std.

    Latents (and a dynamic binarization) are drawn with the same seed at every evaluation, and the random state is
    restored afterwards: an evaluation does not change the training that follows it.

    Args:
        architecture: The model; its mode is restored afterwards.
        batches: The images of the split.
        seed: The seed of the draws.
        marginal_likelihood: Whether to estimate log p(x) too (arXiv 1312.6114, appendix D).

    Returns:
        Each term, and the likelihood's diagnostics at draws from q(z|x). With a prior, `bound`; with
        `marginal_likelihood`, `log_likelihood`. `bits_per_dim` if pixels have 256 levels and the bound
        is on their density or probability.
        `active_units` of the first 10,000 images if the model has a prior and an encoder. For a classifier, `error`,
        the share of labelled images for which the most probable class is not the label; `labelled`, the number of
        labelled images; and `labelled_of_rarest_class`, their number in the class with the fewest. Behind them
        `<name>_standard_error`, over the images, of the numbers that models are ranked by: `bound`, or `nll` without a
        prior, `log_likelihood` and `error`; none of them if there is only one image.

    Raises:
        UserError: `marginal_likelihood` is set, but the model has no prior or too many latents.
    """
    device = batches.images.device
    training = architecture.training
    architecture.eval()
    sums: dict[str, torch.Tensor] = {}
    per_image: dict[str, list[Tensor]] = {}
    codes: list[Tensor] = []
    costs: list[Tensor] = []
    encodes = isinstance(architecture, Generative) and architecture.amortized
    forked = torch.random.fork_rng([device] if device.type == "cuda" else [])
    with forked, frozen(architecture), full_precision():
        torch.manual_seed(seed)
        for x, y in batches:
            terms, q = _terms_and_posterior(architecture, x, y, encodes and sum(map(len, codes)) < MOST_ENCODED_IMAGES)
            if marginal_likelihood:
                terms["log_likelihood"] = _log_likelihood(architecture, x, y)
            if isinstance(architecture, Classifies):
                terms["error"] = (architecture.classify(x).argmax(1) != y) & (y >= 0)
            for name, term in terms.items():
                sums[name] = sums.get(name, 0.0) + term.sum(dtype=torch.float64)
            for name, values in _ranked(architecture, terms, y).items():
                per_image.setdefault(name, []).append(values)
            if isinstance(architecture, Generative) and q is not None:
                codes.append(q.mean)
                p = architecture.prior
                if isinstance(q, DiagonalNormal) and is_normal(p):
                    costs.append(kl_per_latent(q, p))
        diagnostics = _diagnostics(architecture, batches)
    architecture.train(training)
    labels = batches.images.labels
    labelled = int((labels >= 0).sum())
    counts = dict.fromkeys(sums, len(labels)) | dict.fromkeys(TERMS_OF_LABELLED_IMAGES, labelled)
    means = {name: (total / counts[name]).item() for name, total in sums.items() if counts[name]}
    means |= _in_original_units(means, batches.log_jacobian)
    if isinstance(architecture, Classifies):
        per_class = labels[labels >= 0].bincount(minlength=architecture.classify(x[:1]).shape[1])
        means |= {"labelled": labelled, "labelled_of_rarest_class": int(per_class.min())}
    if isinstance(architecture, Generative):
        means = {"bound": -(means["nll"] + means["kl"]), **means}
        likelihood = architecture.likelihood
        if (likelihood.density or likelihood.support == "levels") and batches.step is not None:
            step = batches.step if likelihood.density else None
            means["bits_per_dim"] = bits_per_dim(means["bound"], architecture.shape, step)
    if encodes:
        means["active_units"] = active_units(torch.cat(codes))
    joined = {name: torch.cat(values) for name, values in per_image.items()}
    errors = {f"{name}_standard_error": standard_error(values) for name, values in joined.items() if len(values) > 1}
    latents = torch.cat(costs).mean(0, dtype=torch.float64).tolist() if costs else []
    return Evaluation(means | diagnostics | errors, latents)


def _terms_and_posterior(
    architecture: Model, x: Tensor, y: Tensor, encodes: bool
) -> tuple[dict[str, Tensor], Reparameterised | None]:
    """Compute the terms that are reported and, if `encodes`, q(z|x); where both need it, it is computed once."""
    if not encodes or not isinstance(architecture, Generative):
        return architecture.evaluate_terms(x, y), None
    q = architecture.posterior(x, visible_labels(architecture, y))
    if isinstance(architecture, HasJoint):
        return architecture.terms_of_bound(x, y, q), q
    return architecture.evaluate_terms(x, y), q


def _ranked(architecture: Model, terms: dict[str, Tensor], y: Tensor) -> dict[str, Tensor]:
    """Return the numbers of each image, (B,), that models are ranked by; the error only of images with a label."""
    ranked: dict[str, Tensor] = {name: terms[name] for name in ("log_likelihood", "nll") if name in terms}
    if isinstance(architecture, Generative):
        ranked["bound"] = -(ranked.pop("nll") + terms["kl"])
    if "error" in terms:
        ranked["error"] = terms["error"][y >= 0]
    return ranked


def _in_original_units(means: dict[str, float], log_jacobian: float) -> dict[str, float]:
    """Return the means of log densities for pixels that were not standardised; the same if none were."""
    signs = {"nll": -1, "log_likelihood": 1}
    return {name: means[name] + sign * log_jacobian for name, sign in signs.items() if name in means}


def _diagnostics(architecture: Model, batches: EvaluationBatches) -> dict[str, float]:
    """Compute the likelihood's diagnostics of p(x|z) at draws z ~ q(z|x), as means over the images."""
    sums: dict[str, float] = {}
    if not isinstance(architecture, Autoencoder):
        return sums
    for x, y in batches:
        of_batch = architecture.likelihood.diagnostics(architecture.reconstruct(x, y))
        if not of_batch:
            break  # the likelihood has no diagnostics
        sums |= {name: sums.get(name, 0.0) + len(x) * value for name, value in of_batch.items()}
    return {name: total / len(batches.images) for name, total in sums.items()}


def _log_likelihood(architecture: Model, x: Tensor, y: Tensor) -> Tensor:
    """Estimate log p(x) of each image, (B,)."""
    if not isinstance(architecture, HasJoint):
        raise UserError(f"{type(architecture).__name__}: log p(x) can be estimated for a VAE only")
    return by_posterior_samples(architecture, x, y).value
