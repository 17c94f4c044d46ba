"""Estimates log p(x) of models with a prior, in nats per image."""

import math
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from vae_exp.architecture import HasJoint
from vae_exp.errors import UserError
from vae_exp.hmc import TARGET_ACCEPTANCE, Chains, LogDensity, hmc, start_chains, trace
from vae_exp.posterior.hmc import BeginAt, chain_batches

DECODED_AT_ONCE = 4_000
"""Images that are decoded at a time: they and the intermediate results of their likelihood need about 100 MB."""

PILOT_CHAINS = 16
PILOT_MOVES = 20

SPACING = 0.2
"""Initial standard deviation of the log weight of one temperature step: an effective sample size of 96%."""

SMALLEST_STEP, SMALLEST_GROWTH = 1e-9, 1e-3
"""The smallest step of β, absolute and relative to β: a schedule then has at most 20,000 temperatures."""

MOST_TEMPERATURES = 20_000

MOST_LATENTS = 4
"""The limit for the estimator by posterior samples: a normal must fit the posterior (arXiv 1312.6114, appendix D)."""


@dataclass(frozen=True)
class Estimate:
    """log p̂(x) of each image: the log of a mean over draws.

    Attributes:
        value: log p̂(x) in nats, (B,).
        error: Its standard error, (B,): the relative standard error of the mean over draws. NaN for a single draw.
    """

    value: Tensor
    error: Tensor


@dataclass(frozen=True)
class AnnealedEstimate(Estimate):
    """An estimate by annealed importance sampling.

    Attributes:
        spread: The standard deviation of the chains' log weights, (B,), in nats. If it is much larger than one, the
            estimate depends on few of the chains and is too low.
        temperatures: Number of temperatures.
        change: How much the mean over the images changed when the temperatures were last doubled, in nats. NaN if they
            were not doubled.
    """

    spread: Tensor
    temperatures: int
    change: float


@torch.no_grad()
def importance_weighted(
    model: HasJoint, x: Tensor, y: Tensor | None, k: int, decoded_at_once: int = DECODED_AT_ONCE
) -> Estimate:
    """Compute L_k = log 1/k Σ_i p(x, z_i)/q(z_i|x), z_i ~ q(z|x) (arXiv 1509.00519, eq. 8).

    It is a lower bound of log p(x) that rises with k.

    Args:
        model: The model, in evaluation mode.
        x: Images (B, C, H, W).
        y: Labels (B,), for a conditional model.
        k: Importance samples per image; the memory use does not depend on it.
        decoded_at_once: How many images are decoded at a time.

    Returns:
        L_k of each image, (B,).
    """
    q = model.posterior(x, y)
    log_sum, log_sum_of_squares = (x.new_full((len(x),), -math.inf) for _ in range(2))
    at_once = max(1, decoded_at_once // len(x))
    for first in range(0, k, at_once):
        z, log_q = q.rsample_and_log_prob((min(at_once, k - first),))
        log_weights = model.joint.log_density(x, z, y) - log_q
        log_sum = torch.logaddexp(log_sum, log_weights.logsumexp(0))
        log_sum_of_squares = torch.logaddexp(log_sum_of_squares, (2 * log_weights).logsumexp(0))
    return Estimate(log_sum - math.log(k), _relative_error(log_sum, log_sum_of_squares, k))


@torch.no_grad()
def annealed(
    model: HasJoint,
    x: Tensor,
    y: Tensor | None,
    chains: int = 16,
    temperatures: int | None = None,
    leapfrog_steps: int = 5,
    tolerance: float = 0.1,
) -> AnnealedEstimate:
    """Estimate log p(x) by annealed importance sampling from the prior to the posterior, with HMC moves.

    (Neal 2001; arXiv 1611.04273.)

    The path is p(z) p(x|z)^β. The estimate of p(x) is unbiased, and that of log p(x) is a lower bound in expectation.
    It does not depend on the encoder. If a posterior is sharp and there are few temperatures, the estimate is far too
    low, so the number of temperatures is searched for.

    First, a few pilot chains choose the temperatures of each image: the log weight (β' − β) log p(x|z) of every step
    has the same standard deviation over these chains, `SPACING`. The pilot chains also choose the step size of every
    move: if step sizes depended on the chains that they move, the moves would not keep the distribution invariant.
    Then the temperatures are doubled, with a new one between any two, until the mean over the images changes by less
    than `tolerance`, or by less than twice the standard error of this change over the chains.

    Args:
        model: The model, in evaluation mode.
        x: Images (B, C, H, W).
        y: Labels (B,), for a conditional model.
        chains: Number of chains per image.
        temperatures: Number of distributions on the path. None doubles it as described, up to 20,000.
        leapfrog_steps: Leapfrog steps of each HMC move; there is one move per temperature.
        tolerance: The tolerance in nats.

    Returns:
        log p̂(x) of each image, (B,), from the last schedule only.
    """
    schedule = _schedule(model, x, y, leapfrog_steps)
    estimate = _anneal(model, x, y, chains, schedule.resized(temperatures or len(schedule.step_sizes)), leapfrog_steps)
    while temperatures is None and 2 * estimate.temperatures <= MOST_TEMPERATURES:
        doubled = _anneal(model, x, y, chains, schedule.resized(2 * estimate.temperatures), leapfrog_steps)
        change = (doubled.value - estimate.value).mean().item()
        noise = (doubled.error.square() + estimate.error.square()).sum().sqrt().item() / len(x)
        estimate = replace(doubled, change=change)
        if abs(change) < max(tolerance, 2 * noise):
            break
    return estimate


@dataclass(frozen=True)
class _Schedule:
    """The temperatures of every image, and the step sizes at these temperatures.

    Attributes:
        betas: The temperatures, from 0 to 1 and then 1 to the end, (T + 1, B).
        step_sizes: The step sizes at all temperatures but the first, (T, B).
        lengths: Number of steps from 0 to 1 for each image, (B,).
    """

    betas: Tensor
    step_sizes: Tensor
    lengths: Tensor

    def resized(self, temperatures: int) -> "_Schedule":
        """Interpolate linearly to a schedule with the same number of temperatures for every image."""
        fraction = torch.linspace(0, 1, temperatures + 1, dtype=torch.float64, device=self.betas.device)[:, None]
        position = fraction * self.lengths
        before = torch.minimum(position.long(), self.lengths - 1)
        betas = self.betas.gather(0, before).lerp(self.betas.gather(0, before + 1), position - before)
        step_sizes = self.step_sizes.gather(0, (position[1:].ceil().long() - 1).clamp(min=0))
        return _Schedule(betas, step_sizes, torch.full_like(self.lengths, temperatures))


def _schedule(model: HasJoint, x: Tensor, y: Tensor | None, leapfrog_steps: int) -> _Schedule:
    """Choose temperatures by pilot chains, so that the log weight of each step has the standard deviation `SPACING`."""

    def move(chains: Chains, moves: int) -> Chains:
        return hmc(
            partial(model.joint.log_density, x, y=y, beta=beta.to(x.dtype)),
            chains,
            moves,
            leapfrog_steps,
            TARGET_ACCEPTANCE,
        )

    beta = x.new_zeros(len(x), dtype=torch.float64)
    betas, step_sizes = [beta], []
    pilot = move(start_chains(model.prior.sample((PILOT_CHAINS, len(x)))), PILOT_MOVES)
    while (beta < 1).any():
        deviation = model.decode(pilot.z, y).log_prob(x).double().std(0)
        step = torch.maximum((SPACING / deviation).nan_to_num(0), SMALLEST_STEP + SMALLEST_GROWTH * beta)
        beta = (beta + step).clamp(max=1)
        pilot = move(pilot, 1)
        betas.append(beta)
        step_sizes.append(pilot.step_size)
    all_betas = torch.stack(betas)
    return _Schedule(all_betas, torch.stack(step_sizes), (all_betas < 1).sum(0))


def _anneal(
    model: HasJoint, x: Tensor, y: Tensor | None, chains: int, schedule: _Schedule, leapfrog_steps: int
) -> AnnealedEstimate:
    chain = start_chains(model.prior.sample((chains, len(x))))
    log_weights = x.new_zeros(chains, len(x), dtype=torch.float64)
    for (before, beta), step_size in zip(pairwise(schedule.betas), schedule.step_sizes, strict=True):
        log_weights += (beta - before) * model.decode(chain.z, y).log_prob(x)
        density = partial(model.joint.log_density, x, y=y, beta=beta.to(x.dtype))
        chain = hmc(density, replace(chain, step_size=step_size), 1, leapfrog_steps)
    value, error = _log_mean(log_weights)
    spread = log_weights.std(0) if chains > 1 else torch.full_like(value, math.nan)
    return AnnealedEstimate(value, error, spread, len(schedule.step_sizes), math.nan)


@torch.no_grad()
def by_posterior_samples(
    model: HasJoint,
    x: Tensor,
    y: Tensor | None,
    samples: int = 50,
    leapfrog_steps: int = 4,
    chains: int = 10,
    burn_in: int = 20,
    begin_at: BeginAt = "prior",
) -> Estimate:
    """Estimate p(x) by [mean of q(z)/(p(z) p(x|z))]⁻¹ over posterior samples (arXiv 1312.6114, appendix D).

    q(z) is a normal with the mean and covariance of posterior samples. The mean is over *new* samples, from separate
    chains: samples that continue the chains of the fit lie where q is large, and the estimate would be too low. All
    samples come from HMC, one per trajectory of each chain. 1/p̂(x) is unbiased, so log p̂(x) is slightly too high in
    expectation: it is no bound. The estimator is for few latents only, because a normal must fit the posterior.

    Args:
        model: The model, in evaluation mode.
        x: Images (B, C, H, W).
        y: Labels (B,), for a conditional model.
        samples: Number of posterior samples to fit q(z) to, and of new samples; rounded up to a multiple of `chains`.
        leapfrog_steps: Leapfrog steps of each HMC trajectory.
        chains: Number of chains per image, for the fit and again for the new samples; at most `samples`.
        burn_in: Number of trajectories before the first sample; they tune the step sizes.
        begin_at: Where the chains start. Chains that start at draws from the encoder stay in the mode of these draws.
            If the encoder is wrong, that is not the largest mode, and the estimate is lower.

    Returns:
        log p̂(x) of each image, (B,), with its standard error over the chains.

    Raises:
        UserError: The model has more than 4 latents.
    """
    if model.latent_dim > MOST_LATENTS:
        raise UserError(f"the estimator by posterior samples is for fewer than 5 latents, not {model.latent_dim}")

    chains = min(chains, samples)
    each = math.ceil(samples / chains)
    values, errors = [], []
    encode = model.posterior if begin_at == "encoder" else None
    for z, log_joint in chain_batches(model.joint, x, y, 2 * chains, encode):
        fitted, new = (_posterior_samples(log_joint, half, burn_in, each, leapfrog_steps) for half in z.split(chains))
        log_ratios = _fit_normal(fitted).log_prob(new) - log_joint(new)
        chain_means = log_ratios.unflatten(0, (each, chains)).logsumexp(0) - math.log(each)
        value, error = _log_mean(chain_means)
        values.append(-value)
        errors.append(error)
    return Estimate(torch.cat(values), torch.cat(errors))


def _posterior_samples(log_joint: LogDensity, z: Tensor, burn_in: int, each: int, leapfrog_steps: int) -> Tensor:
    """Draw `each` samples from every chain, which starts at z (S, B, D): (each · S, B, D)."""
    burnt_in = hmc(log_joint, start_chains(z), burn_in, leapfrog_steps, TARGET_ACCEPTANCE)
    return trace(log_joint, burnt_in, each, leapfrog_steps)[1]


def _fit_normal(z: Tensor) -> MultivariateNormal:
    """Fit one normal per image to samples (S, B, D)."""
    mean = z.mean(0)
    centred = (z - mean).transpose(0, 1)
    covariance = centred.transpose(1, 2) @ centred / (len(z) - 1)
    # relative, because an absolute floor would widen a narrow normal; 1e-12 is for chains that never moved
    floor = 1e-6 * covariance.diagonal(dim1=1, dim2=2).mean(1) + 1e-12
    return MultivariateNormal(mean, covariance + floor[:, None, None] * torch.eye(z.shape[-1]).to(z))


def _log_mean(log_values: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the log of the mean over values (S, B), and the standard error of this log, each (B,)."""
    count = len(log_values)
    log_sum, log_sum_of_squares = log_values.logsumexp(0), (2 * log_values).logsumexp(0)
    return log_sum - math.log(count), _relative_error(log_sum, log_sum_of_squares, count)


def _relative_error(log_sum: Tensor, log_sum_of_squares: Tensor, count: int) -> Tensor:
    """Compute the standard error of a mean over `count` values, relative to the mean, (B,); NaN for one value.

    It is √((n Σw²/(Σw)² − 1)/(n − 1)), which is to first order the standard error of the log of the mean.
    """
    if count == 1:
        return torch.full_like(log_sum, math.nan)
    excess = count * torch.exp(log_sum_of_squares - 2 * log_sum) - 1
    return (excess.clamp(min=0) / (count - 1)).sqrt()
