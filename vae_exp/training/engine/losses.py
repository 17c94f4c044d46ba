"""The loss of a batch, and the report of a loss that is not finite."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from vae_exp.architecture import Model
from vae_exp.errors import Diverged
from vae_exp.training.engine.gradients import Loss


class WeightedLoss(nn.Module):
    """The loss Σ weightₖ · mean(termₖ) of a model.

    The weights of terms with a schedule (`Model.annealing`) are in a tensor: a compiled program is not made again when
    they change.

    Args:
        architecture: The model.
        weights: The weight of each term. With a schedule, it is the largest one.
    """

    annealed: Tensor

    def __init__(self, architecture: Model, weights: Mapping[str, float]) -> None:
        super().__init__()
        self.architecture = architecture
        self.weights = weights
        device = next(architecture.parameters()).device
        self.register_buffer("annealed", torch.zeros(len(architecture.annealing), device=device), persistent=False)

    def anneal(self, seen: int, budget: int) -> None:
        """Set the weights with a schedule to those after `seen` of the `budget` samples."""
        for i, (name, share) in enumerate(self.architecture.annealing.items()):
            self.annealed[i] = self.weights[name] * share(seen, budget)

    def forward(self, x: Tensor, y: Tensor, counts: Tensor | None = None) -> Loss:
        """Compute the loss, and the mean of each term; nats per image.

        Args:
            x: Images (B, C, H, W).
            y: Labels (B,).
            counts: The weight of each image, (B,); None for 1 each.
        """
        terms = self.architecture.terms(x, y)
        if counts is not None:
            terms = {name: counts * term for name, term in terms.items()}
        terms = {name: term.mean() for name, term in terms.items()}
        weights: Mapping[str, float | Tensor] = self.weights
        if len(self.annealed):
            weights = {**weights, **dict(zip(self.architecture.annealing, self.annealed, strict=True))}
        return torch.stack([weights[name] * term for name, term in terms.items()]).sum(), terms


def means_of(names: list[str], losses: Tensor, model: nn.Module) -> dict[str, float]:
    """Return the means of losses, (updates, names), and the norm of the last gradient that the optimizer received."""
    norm = get_total_norm([p.grad for p in model.parameters() if p.grad is not None])
    return {**dict(zip(names, losses.mean(0).tolist(), strict=True)), "gradient_norm": norm.item()}


def check_finite(names: list[str], losses: Tensor, first_step: int, advice: str) -> None:
    """Raise an error if a loss is not finite.

    Args:
        names: `loss` and the names of its terms, `loss/<term>`.
        losses: One row per update (updates, names), in nats per image.
        first_step: The number of the first of these updates.
        advice: What the user can try.

    Raises:
        Diverged: A loss is NaN or infinite. The message names the step and the terms.
    """
    bad_rows = (~losses.isfinite()).any(1).nonzero()
    if not len(bad_rows):
        return
    row = int(bad_rows[0])
    values = dict(zip(names, losses[row].tolist(), strict=True))
    terms = {name.removeprefix("loss/"): value for name, value in values.items() if name != "loss"}
    not_finite = [name for name, value in terms.items() if not math.isfinite(value)] or ["their sum"]
    shown = ", ".join(f"{name} = {value:g}" for name, value in terms.items())
    raise Diverged(f"The loss is not finite at step {first_step + row:,}: {', '.join(not_finite)} ({shown}). {advice}")
