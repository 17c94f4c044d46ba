"""Steps of flows by zuko's masked networks, which are given features of the image."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from vae_exp.posterior.pushforward import InvertibleStep, Step
from vae_exp.prior.zuko_layers import MaskedAutoregressiveTransform, begin_near_identity, with_hidden

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


def transforms_in_turns(
    number: int, latent_dim: int, context: int, hidden_sizes: list[int] | None, **options: Any
) -> nn.ModuleList:
    """Build masked transforms of zuko, which begin near the identity. Every second one takes the latents in reverse.

    Args:
        number: How many.
        latent_dim: Number of latents.
        context: Number of features of the image.
        hidden_sizes: Hidden layers of the masked network in each; by default one of 64 units.
        options: Arguments that zuko's transform takes as they are.
    """
    in_order = torch.arange(latent_dim, device="cpu")
    orders = [in_order, in_order.flip(0)]
    builds = (
        partial(MaskedAutoregressiveTransform, latent_dim, context, order=orders[i % 2], **options)
        for i in range(number)
    )
    return nn.ModuleList(begin_near_identity(with_hidden(build, hidden_sizes or [64])) for build in builds)
