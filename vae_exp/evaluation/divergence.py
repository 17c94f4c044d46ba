"""Whether a model whose numbers are finite has diverged all the same."""

from collections.abc import Mapping

import torch
from torch import Tensor

from vae_exp.architecture import Architecture

TIMES_WORSE = 1000
"""No training that works ends so far above what a model pays that has learned nothing."""


def cost_of_nothing(architecture: Architecture, x: Tensor) -> float:
    """−log p(x) of a decoder that says 0 of every pixel, in nats per image; at least one nat per pixel.

    That is log 2 per pixel for a Bernoulli, and at most 1.4 for a Gaussian with σ = 1; with a smaller fixed σ it is
    what a mean of one half costs.

    Args:
        architecture: Its likelihood is asked.
        x: Images (B, C, H, W).
    """
    channels, *size = architecture.shape
    features = x.new_zeros(1, architecture.likelihood.parameters_per_pixel * channels, *size)
    with torch.no_grad():
        nll: float = -architecture.likelihood(features).log_prob(x).mean().item()
    return max(float(x[0].numel()), nll)


def diverged(row: Mapping[str, float], architecture: Architecture, x: Tensor) -> dict[str, float]:
    """The bounds and nlls of an evaluation that cost more than `TIMES_WORSE` what a model pays that knows nothing.

    Args:
        row: Metrics by name, `<split>/bound` and `<split>/nll` in nats per image.
        architecture: What was evaluated; the numbers of a classifier have limits of their own.
        x: Some images (B, C, H, W).
    """
    if not architecture.reconstructs:
        return {}
    limit = TIMES_WORSE * cost_of_nothing(architecture, x)
    named = {name: value for name, value in row.items() if name.endswith(("/bound", "/nll"))}
    return {name: value for name, value in named.items() if (value if name.endswith("/nll") else -value) > limit}
