"""The loss of a batch, and the report of a loss that is not finite."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from vae_exp.architecture import Model
from vae_exp.errors import Diverged
from vae_exp.training.engine.gradients import Loss


class WeightedLoss(nn.Module):
    """The loss Σ weightₖ · mean(termₖ) of a model.

    Args:
        architecture: The model.
        weights: The weight of each term.
    """

    def __init__(self, architecture: Model, weights: Mapping[str, float]) -> None:
        super().__init__()
        self.architecture = architecture
        self.weights = weights

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
        return torch.stack([self.weights[name] * term for name, term in terms.items()]).sum(), terms


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
