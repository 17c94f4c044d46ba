"""Hamiltonian Monte Carlo over latents (Duane et al. 1987; Neal 2011)."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

LogDensity = Callable[[Tensor], Tensor]
"""Latents (S, B, D) to unnormalised log densities (S, B)."""

GAIN = 0.5
"""How fast a step size follows its acceptance rate."""

TARGET = 0.9
"""The acceptance rate to tune a step size to (arXiv 1312.6114, appendix E)."""


SHORTEST = 0.5
"""Part of its step size that a trajectory takes at least, drawn anew for each (Neal 2011, section 5.4.2.2).

Trajectories of one length move in circles: at half the period of a normal every chain goes to the other side of the
mean and back, as far from it as it was.
"""


@dataclass(frozen=True)
class Chains:
    """Where S chains for each of B images stand.

    Attributes:
        z: The latents (S, B, D).
        step_size: The largest step of the leapfrog integrator, one per image, (B,).
        acceptance: The mean acceptance probability of the last iteration, (B,).
    """

    z: Tensor
    step_size: Tensor
    acceptance: Tensor


def hmc(
    log_density: LogDensity,
    chains: Chains,
    iterations: int,
    leapfrog_steps: int,
    target: float | None = None,
) -> Chains:
    """Move every chain by so many iterations, each of them a trajectory that is accepted or refused as a whole.

    Args:
        log_density: What to sample from.
        chains: Where they stand.
        iterations: How many trajectories.
        leapfrog_steps: Of each of them.
        target: Let the step sizes follow this rate of acceptance; None keeps them, as detailed balance asks.
    """
    for _ in range(iterations):
        chains = _iterate(log_density, chains, leapfrog_steps)
        if target is not None:
            grown = chains.step_size * torch.exp(GAIN * (chains.acceptance - target))
            chains = Chains(chains.z, grown, chains.acceptance)
    return chains


def begin(z: Tensor, step_size: float = 0.1) -> Chains:
    """Chains at z (S, B, D)."""
    return Chains(z, z.new_full(z.shape[1:2], step_size), z.new_zeros(z.shape[1]))


def trace(log_density: LogDensity, chains: Chains, iterations: int, leapfrog_steps: int) -> tuple[Chains, Tensor]:
    """Move every chain by so many iterations and keep where each of these ended: (iterations · S, B, D)."""
    kept = []
    for _ in range(iterations):
        chains = _iterate(log_density, chains, leapfrog_steps)
        kept.append(chains.z)
    return chains, torch.cat(kept)


def _iterate(log_density: LogDensity, chains: Chains, leapfrog_steps: int) -> Chains:
    z = chains.z
    step = (chains.step_size * torch.empty_like(chains.step_size).uniform_(SHORTEST, 1))[:, None]
    momentum = torch.randn_like(z)
    value, gradient = _with_gradient(log_density, z)
    proposed, moved, proposed_value = z, momentum, value
    for _ in range(leapfrog_steps):
        moved = moved + 0.5 * step * gradient
        proposed = proposed + step * moved
        proposed_value, gradient = _with_gradient(log_density, proposed)
        moved = moved + 0.5 * step * gradient
    energy = proposed_value - value - 0.5 * (moved.square().sum(-1) - momentum.square().sum(-1))
    probability = energy.clamp(max=0).exp().nan_to_num(0)  # a trajectory that left all numbers is refused
    accepted = torch.rand_like(probability) < probability
    return Chains(torch.where(accepted[..., None], proposed, z), chains.step_size, probability.mean(0))


def _with_gradient(log_density: LogDensity, z: Tensor) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        value = log_density(z)
        (gradient,) = torch.autograd.grad(value.sum(), z)
    return value.detach(), gradient
