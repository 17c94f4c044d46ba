"""Steps of flows by zuko's masked networks, which are given features of the image."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from vae_exp.posterior.pushforward import InvertibleStep, Step

Transform = Callable[[Tensor], Any]
"""A lazy transform of zuko: features of the images (B, context) to a transform of latents."""


class AutoregressiveStep(Step):
    """z_i' = f(z_i; g_i(z_<i, c)), a transform of zuko in the direction that takes one pass.

    Args:
        transform: The lazy transform.
        context: c, features of the images (B, context).
    """

    def __init__(self, transform: Transform, context: Tensor) -> None:
        self._transform = transform(context)

    def __call__(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Compute z', (…, B, D), and log |det|, (…, B)."""
        moved, log_det = self._transform.call_and_ladj(z)
        return moved, log_det


class CouplingStep(InvertibleStep):
    """The same if half of the latents are functions of the other half only: the inverse takes two passes.

    Args:
        transform: The lazy transform, with `passes=2`.
        context: c, features of the images (B, context).
    """

    def __init__(self, transform: Transform, context: Tensor) -> None:
        self._transform = transform(context)

    def __call__(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Compute z', (…, B, D), and log |det|, (…, B)."""
        moved, log_det = self._transform.call_and_ladj(z)
        return moved, log_det

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Compute f⁻¹(z), (…, B, D), and log |det| there, (…, B)."""
        before, log_det = self._transform.inv.call_and_ladj(z)
        return before, -log_det
