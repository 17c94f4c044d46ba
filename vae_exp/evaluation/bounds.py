"""The terms, and with a prior the bound and log p(x), over a split."""

import torch
from torch import Tensor

from vae_exp.architecture import VAE, Architecture
from vae_exp.dataset.batches import EvaluationBatches
from vae_exp.errors import UserError
from vae_exp.evaluation.active_units import active_units
from vae_exp.evaluation.bits import bits_per_dim
from vae_exp.evaluation.marginal_likelihood import by_posterior_samples
from vae_exp.network.base import frozen
from vae_exp.network.precision import full_precision

OF_LABELLED = ("classification", "error")
"""What only an image with a label has: means over those."""

ENCODED = 10_000
"""The first so many images of a split tell which latents are active: encoding all of them again would take long."""


@torch.no_grad()
def evaluate(
    architecture: Architecture, batches: EvaluationBatches, seed: int = 0, marginal_likelihood: bool = False
) -> dict[str, float]:
    """Means over a split in evaluation mode, nats per image.

    The latents (and a dynamic binarization) are drawn from a generator of their own, the same for every evaluation:
    evaluating leaves no trace in the training that goes on after it.

    Args:
        architecture: The model; its mode is put back afterwards.
        batches: The split.
        seed: Of the draws.
        marginal_likelihood: Whether log p(x) is estimated too (arXiv 1312.6114, appendix D).

    Returns:
        Each term, `bound` where the code has a prior, `log_likelihood` where it was asked for, `bits_per_dim` where the
        bound is one of a density of pixels with 256 levels, and the likelihood's diagnostics at draws from q(z|x). Of a
        model with a prior and an encoder the `active_units`, by the first 10,000
        images. Of a classifier the `error` too, the share of the labelled images whose most probable class is not
        their label; how many are `labelled`, and how many of the class that has the fewest.

    Raises:
        UserError: log p(x) was asked for and the model has no prior, or too many latents.
    """
    device = batches.images.pixels.device
    training = architecture.training
    architecture.eval()
    sums: dict[str, torch.Tensor] = {}
    codes: list[Tensor] = []
    encodes = architecture.prior is not None and architecture.amortized
    forked = torch.random.fork_rng([device] if device.type == "cuda" else [])
    with forked, frozen(architecture), full_precision():
        torch.manual_seed(seed)
        for x, y in batches:
            terms = architecture.terms(x, y)
            if marginal_likelihood:
                terms["log_likelihood"] = _log_likelihood(architecture, x, y)
            if architecture.classifies:
                terms["error"] = (architecture.classify(x).argmax(1) != y) & (y >= 0)
            for name, term in terms.items():
                sums[name] = sums.get(name, 0.0) + term.sum(dtype=torch.float64)
            if encodes and sum(map(len, codes)) < ENCODED:  # what says the label itself is not told
                codes.append(architecture.encode(x, torch.full_like(y, -1) if architecture.classifies else y))
        diagnostics = _diagnostics(architecture, batches)
    architecture.train(training)
    labels = batches.images.labels
    labelled = int((labels >= 0).sum())
    counts = dict.fromkeys(sums, len(labels)) | dict.fromkeys(OF_LABELLED, labelled)
    means = {name: (total / counts[name]).item() for name, total in sums.items() if counts[name]}
    if architecture.classifies:
        of_each = labels[labels >= 0].bincount(minlength=architecture.classify(x[:1]).shape[1])
        means |= {"labelled": labelled, "labelled_of_rarest_class": int(of_each.min())}
    if architecture.prior is not None:
        means = {"bound": -(means["nll"] + means["kl"]), **means}
        if architecture.likelihood.density and batches.levels == 256:
            means["bits_per_dim"] = bits_per_dim(means["bound"], architecture.shape)
    if encodes:
        means["active_units"] = active_units(torch.cat(codes))
    return means | diagnostics


def _diagnostics(architecture: Architecture, batches: EvaluationBatches) -> dict[str, float]:
    """What the likelihood says of p(x|z) at draws z ~ q(z|x), the mean over the images."""
    sums: dict[str, float] = {}
    for x, y in batches:
        found = architecture.likelihood.diagnostics(architecture.reconstruct(x, y))
        if not found:
            break  # another batch would have none either
        sums |= {name: sums.get(name, 0.0) + len(x) * value for name, value in found.items()}
    return {name: total / len(batches.images) for name, total in sums.items()}


def _log_likelihood(architecture: Architecture, x: Tensor, y: Tensor) -> Tensor:
    """log p̂(x) of each image, (B,)."""
    if not isinstance(architecture, VAE):
        raise UserError(f"{type(architecture).__name__}: log p(x) is estimated of a VAE only")
    return by_posterior_samples(architecture, x, y).value
