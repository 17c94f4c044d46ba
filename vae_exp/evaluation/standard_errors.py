"""Means of estimates with their standard errors, as `evaluate` prints and stores them."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from vae_exp.evaluation.marginal_likelihood import AnnealedEstimate, Estimate


def standard_error(values: Tensor) -> float:
    """Compute s/√n, the standard error of the mean of n independent values (n,); NaN for one value."""
    return (values.double().std() / len(values) ** 0.5).item() if len(values) > 1 else math.nan


def over_images(values: Tensor) -> dict[str, Any]:
    """Return the mean of an estimate (B,) and its standard error over the images, which is None for one image."""
    return {
        "mean": values.double().mean().item(),
        "standard_error": _or_none(standard_error(values)),
        "images": len(values),
    }


def over_draws(estimates: Sequence[Estimate]) -> dict[str, Any]:
    """Return the result of `over_images`, and the standard error of the mean over the draws.

    Each image has its own, independent draws.
    """
    errors = torch.cat([estimate.error for estimate in estimates]).double()
    error = _or_none((errors.square().sum().sqrt() / len(errors)).item())
    return over_images(torch.cat([estimate.value for estimate in estimates])) | {"error_over_draws": error}


def over_chains(estimates: Sequence[AnnealedEstimate]) -> dict[str, Any]:
    """Return the diagnostics of annealed importance sampling over the images."""
    spread = torch.cat([estimate.spread for estimate in estimates]).double()
    return {
        "spread_over_chains": _or_none(spread.mean().item()),
        "temperatures": max(estimate.temperatures for estimate in estimates),
        "changed_by_doubling": _or_none(max((estimate.change for estimate in estimates), key=abs)),
    }


def _or_none(value: float) -> float | None:
    """Replace NaN and infinities by None: JSON has no such numbers."""
    return value if math.isfinite(value) else None
