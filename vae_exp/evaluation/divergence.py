"""Detects a model that has diverged although its metrics are finite."""

from collections.abc import Mapping

import torch
from torch import Tensor

from vae_exp.architecture import Autoencoder, Model

TIMES_WORSE = 1000
"""A model has diverged if it is this many times worse than a model that has learned nothing."""


def cost_of_nothing(architecture: Autoencoder, x: Tensor) -> float:
    """Compute −log p(x) of a decoder with all features 0, in nats per image; at least one nat per pixel.

    For a Bernoulli this is log 2 per pixel, for a Gaussian with σ = 1 at most 1.4 per pixel. For a smaller fixed σ it
    is the cost of a mean of one half.

    Args:
        architecture: The model; only its likelihood is used.
        x: Images (B, C, H, W).
    """
    channels, *size = architecture.shape
    features = x.new_zeros(1, architecture.likelihood.parameters_per_pixel * channels, *size)
    with torch.no_grad():
        nll: float = -architecture.likelihood(features).log_prob(x).mean().item()
    return max(float(x[0].numel()), nll)


def diverged_metrics(row: Mapping[str, float], architecture: Model, x: Tensor) -> dict[str, float]:
    """Return the bounds and nlls of an evaluation that are over `TIMES_WORSE` times worse than `cost_of_nothing`.

    Args:
        row: Metrics by name, `<split>/bound` and `<split>/nll` in nats per image.
        architecture: The evaluated model. The result is empty if it does not reconstruct images: the metrics of a
            classifier have other limits.
        x: Some images (B, C, H, W).
    """
    if not isinstance(architecture, Autoencoder):
        return {}
    limit = TIMES_WORSE * cost_of_nothing(architecture, x)
    costs = {name: value for name, value in row.items() if name.endswith(("/bound", "/nll"))}
    return {name: value for name, value in costs.items() if (value if name.endswith("/nll") else -value) > limit}
