"""The terms, and with a prior the bound, over a whole split."""

import torch

from vae_exp.architecture import Architecture
from vae_exp.dataset.batches import EvaluationBatches


@torch.no_grad()
def evaluate(architecture: Architecture, batches: EvaluationBatches, seed: int = 0) -> dict[str, float]:
    """Means over a split in evaluation mode, nats per image.

    The latents (and a dynamic binarization) are drawn from a generator of their own, the same for every evaluation:
    evaluating leaves no trace in the training that goes on after it.

    Args:
        architecture: The model; its mode is put back afterwards.
        batches: The split.
        seed: Of the draws.

    Returns:
        Each term, `bound` where the code has a prior, and the likelihood's diagnostics on the first batch.
    """
    device = batches.images.pixels.device
    training = architecture.training
    architecture.eval()
    sums: dict[str, torch.Tensor] = {}
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        for x, y in batches:
            for name, term in architecture.terms(x, y).items():
                sums[name] = sums.get(name, 0.0) + term.sum(dtype=torch.float64)
        x, y = next(iter(batches))
        p = architecture.decode(architecture.encode(x, y), y)
    architecture.train(training)
    means = {name: (total / len(batches.images)).item() for name, total in sums.items()}
    if architecture.prior is not None:
        means = {"bound": -(means["nll"] + means["kl"]), **means}
    return means | architecture.likelihood.diagnostics(p)


def headline(metrics: dict[str, float], split: str) -> tuple[str, float]:
    """The one number of a split and its name, higher is better: the bound, or without a prior −nll."""
    if f"{split}/bound" in metrics:
        return f"{split}/bound", metrics[f"{split}/bound"]
    return f"-{split}/nll", -metrics[f"{split}/nll"]
