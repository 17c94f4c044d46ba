"""The terms, and with a prior the bound and log p(x), over a split."""

import torch
from torch import Tensor

from vae_exp.architecture import VAE, Architecture
from vae_exp.dataset.batches import EvaluationBatches
from vae_exp.errors import UserError
from vae_exp.evaluation.marginal_likelihood import by_posterior_samples
from vae_exp.network.base import frozen


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
        Each term, `bound` where the code has a prior, `log_likelihood` where it was asked for, and the likelihood's
        diagnostics on the first batch.

    Raises:
        UserError: log p(x) was asked for and the model has no prior, or too many latents.
    """
    device = batches.images.pixels.device
    training = architecture.training
    architecture.eval()
    sums: dict[str, torch.Tensor] = {}
    with torch.random.fork_rng([device] if device.type == "cuda" else []), frozen(architecture):
        torch.manual_seed(seed)
        for x, y in batches:
            terms = architecture.terms(x, y)
            if marginal_likelihood:
                terms["log_likelihood"] = _log_likelihood(architecture, x, y)
            for name, term in terms.items():
                sums[name] = sums.get(name, 0.0) + term.sum(dtype=torch.float64)
        x, y = next(iter(batches))
        p = architecture.decode(architecture.encode(x, y), y)
    architecture.train(training)
    means = {name: (total / len(batches.images)).item() for name, total in sums.items()}
    if architecture.prior is not None:
        means = {"bound": -(means["nll"] + means["kl"]), **means}
    return means | architecture.likelihood.diagnostics(p)


def _log_likelihood(architecture: Architecture, x: Tensor, y: Tensor) -> Tensor:
    """log p̂(x) of each image, (B,)."""
    if not isinstance(architecture, VAE):
        raise UserError(f"{type(architecture).__name__} has no prior over its code, so no marginal likelihood")
    return by_posterior_samples(architecture, x, y)
