"""Hamiltonian Monte Carlo over latents (Duane et al. 1987; Neal 2011)."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

LogDensity = Callable[[Tensor], Tensor]
"""Maps latents (S, B, D) to unnormalised log densities (S, B)."""

STEP_SIZE_GAIN = 0.5
"""The change of log(step size) per iteration, divided by the difference of the acceptance rate from its target."""

TARGET_ACCEPTANCE = 0.9
"""The acceptance rate to which a step size is tuned (arXiv 1312.6114, appendix E)."""


SHORTEST_STEP = 0.5
"""Each trajectory uses a random fraction of the step size, at least this one (Neal 2011, section 5.4.2.2).

Trajectories of a constant length can be periodic: if the length is half the period of a normal, every chain jumps to
the other side of the mean and back, and its distance from the mean never changes.
"""


@dataclass(frozen=True)
class Chains:
    """The state of S chains for each of B images.

    Attributes:
        z: The latents (S, B, D).
        step_size: The largest step size of the leapfrog integrator, one per image, (B,).
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
    """Move every chain by `iterations` trajectories, each of which is accepted or rejected as a whole.

    Args:
        log_density: The density to sample from.
        chains: The current state of the chains.
        iterations: Number of trajectories.
        leapfrog_steps: Number of leapfrog steps of each trajectory.
        target: Tune the step sizes to this acceptance rate. None keeps them constant, as detailed balance requires.

    Returns:
        The new state of the chains.
    """
    for _ in range(iterations):
        chains = _iterate(log_density, chains, leapfrog_steps)
        if target is not None:
            step_size = chains.step_size * torch.exp(STEP_SIZE_GAIN * (chains.acceptance - target))
            chains = Chains(chains.z, step_size, chains.acceptance)
    return chains


def start_chains(z: Tensor, step_size: float = 0.1) -> Chains:
    """Start chains at z (S, B, D), with the same step size for every image."""
    return Chains(z, z.new_full(z.shape[1:2], step_size), z.new_zeros(z.shape[1]))


def trace(log_density: LogDensity, chains: Chains, iterations: int, leapfrog_steps: int) -> tuple[Chains, Tensor]:
    """Move every chain by `iterations` trajectories with constant step sizes, and keep the state after each.

    Returns:
        The new state of the chains, and the latents after every trajectory, (iterations · S, B, D).
    """
    kept = []
    for _ in range(iterations):
        chains = _iterate(log_density, chains, leapfrog_steps)
        kept.append(chains.z)
    return chains, torch.cat(kept)


def _iterate(log_density: LogDensity, chains: Chains, leapfrog_steps: int) -> Chains:
    z = chains.z
    step = (chains.step_size * torch.empty_like(chains.step_size).uniform_(SHORTEST_STEP, 1))[:, None]
    momentum = torch.randn_like(z)
    value, gradient = with_gradient(log_density, z)
    proposed, moved, proposed_value = z, momentum, value
    for _ in range(leapfrog_steps):
        moved = moved + 0.5 * step * gradient
        proposed = proposed + step * moved
        proposed_value, gradient = with_gradient(log_density, proposed)
        moved = moved + 0.5 * step * gradient
    energy = proposed_value - value - 0.5 * (moved.square().sum(-1) - momentum.square().sum(-1))
    probability = energy.clamp(max=0).exp().nan_to_num(0)  # a trajectory with energy NaN is rejected
    accepted = torch.rand_like(probability) < probability
    return Chains(torch.where(accepted[..., None], proposed, z), chains.step_size, probability.mean(0))


def with_gradient(log_density: LogDensity, z: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the log density (S, B) and its gradient (S, B, D) at latents z (S, B, D)."""
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        value = log_density(z)
        (gradient,) = torch.autograd.grad(value.sum(), z)
    return value.detach(), gradient
