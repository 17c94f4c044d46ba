"""Estimates of log p(x), in nats per image, of models with a prior."""

import math
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from vae_exp.architecture import VAE
from vae_exp.architecture.sampling import BeginAt, pieces
from vae_exp.errors import UserError
from vae_exp.hmc import TARGET, Chains, LogDensity, begin, hmc, trace

DECODED_AT_ONCE = 4_000
"""Images that are decoded at a time: some 100 MB hold them and what their likelihood needs on the way."""

PILOT_CHAINS = 16
PILOT_MOVES = 20

SPACING = 0.2
"""Deviation of a log weight from one temperature to the next, at first: an effective sample size of 96%."""

SMALLEST_STEP, SMALLEST_GROWTH = 1e-9, 1e-3
"""Of β, whatever the deviation: a schedule then ends after 20,000 temperatures at the latest."""

MOST_TEMPERATURES = 20_000

MOST_LATENTS = 4
"""Of the estimator by posterior samples: a normal has to fit the posterior (arXiv 1312.6114, appendix D)."""


@dataclass(frozen=True)
class Estimate:
    """log p̂(x) = log of a mean over draws, of each image.

    Attributes:
        value: In nats, (B,).
        error: Its standard error over the draws, (B,): the mean's relative one. NaN where there is one draw.
    """

    value: Tensor
    error: Tensor


@dataclass(frozen=True)
class AnnealedEstimate(Estimate):
    """One by annealed importance sampling.

    Attributes:
        spread: The deviation of the chains' log weights, (B,), in nats: where it is much larger than one, few of the
            chains carry the estimate, and it is too low.
        temperatures: How many there were.
        change: What the mean over the images changed by when they were doubled last, in nats; NaN where they were not.
    """

    spread: Tensor
    temperatures: int
    change: float


@torch.no_grad()
def importance_weighted(model: VAE, x: Tensor, y: Tensor | None, k: int) -> Estimate:
    """L_k = log 1/k Σ_i p(x, z_i)/q(z_i|x), z_i ~ q(z|x): a lower bound that rises with k (arXiv 1509.00519, eq. 8).

    Args:
        model: In evaluation mode.
        x: Images (B, C, H, W).
        y: Labels (B,), for a conditional model.
        k: Importance samples per image; the memory does not depend on it.

    Returns:
        L_k of each image, (B,).
    """
    q = model.posterior(x, y)
    total, of_squares = (x.new_full((len(x),), -math.inf) for _ in range(2))
    at_once = max(1, DECODED_AT_ONCE // len(x))
    for first in range(0, k, at_once):
        z, log_q = q.rsample_and_log_prob((min(at_once, k - first),))
        log_weights = model.log_joint(x, z, y) - log_q
        total = torch.logaddexp(total, log_weights.logsumexp(0))
        of_squares = torch.logaddexp(of_squares, (2 * log_weights).logsumexp(0))
    return Estimate(total - math.log(k), _relative_error(total, of_squares, k))


@torch.no_grad()
def annealed(
    model: VAE,
    x: Tensor,
    y: Tensor | None,
    chains: int = 16,
    temperatures: int | None = None,
    leapfrog_steps: int = 5,
    tolerance: float = 0.1,
) -> AnnealedEstimate:
    """Annealed importance sampling from the prior to the posterior, with HMC moves (Neal 2001; arXiv 1611.04273).

    The path is p(z) p(x|z)^β. The estimate of p(x) is unbiased, that of log p(x) a lower bound in expectation; it does
    not depend on the encoder. With few temperatures it is far too low where a posterior is sharp, so that their number
    is sought. A few chains go first and choose each image's temperatures: from one to the next the log weight
    (β' − β) log p(x|z) has the same deviation over those chains, `SPACING`. They find every move's step size too: step
    sizes that followed the chains they move would leave no distribution as it is. Then the temperatures are doubled,
    one between any two, until the mean over the images changes by less than `tolerance`, or than twice the error of
    that change over the chains.

    Args:
        model: In evaluation mode.
        x: Images (B, C, H, W).
        y: Labels (B,), for a conditional model.
        chains: Per image.
        temperatures: How many distributions lie on the path; None doubles them, to 20,000 at most.
        leapfrog_steps: Of each HMC move; one move per temperature.
        tolerance: In nats.

    Returns:
        log p̂(x) of each image, (B,), by the last schedule alone.
    """
    schedule = _schedule(model, x, y, leapfrog_steps)
    found = _anneal(model, x, y, chains, schedule.resized(temperatures or len(schedule.step_sizes)), leapfrog_steps)
    while temperatures is None and 2 * found.temperatures <= MOST_TEMPERATURES:
        doubled = _anneal(model, x, y, chains, schedule.resized(2 * found.temperatures), leapfrog_steps)
        change = (doubled.value - found.value).mean().item()
        noise = (doubled.error.square() + found.error.square()).sum().sqrt().item() / len(x)
        found = replace(doubled, change=change)
        if abs(change) < max(tolerance, 2 * noise):
            break
    return found


@dataclass(frozen=True)
class _Schedule:
    """The temperatures of every image, and the step sizes at them.

    Attributes:
        betas: From 0 to 1, then 1 to the end, (T + 1, B).
        step_sizes: At each of them but the first, (T, B).
        lengths: How many steps each image takes to 1, (B,).
    """

    betas: Tensor
    step_sizes: Tensor
    lengths: Tensor

    def resized(self, temperatures: int) -> "_Schedule":
        """One of so many temperatures for every image, by linear interpolation."""
        at = torch.linspace(0, 1, temperatures + 1, dtype=torch.float64, device=self.betas.device)[:, None]
        position = at * self.lengths
        before = torch.minimum(position.long(), self.lengths - 1)
        betas = self.betas.gather(0, before).lerp(self.betas.gather(0, before + 1), position - before)
        step_sizes = self.step_sizes.gather(0, (position[1:].ceil().long() - 1).clamp(min=0))
        return _Schedule(betas, step_sizes, torch.full_like(self.lengths, temperatures))


def _schedule(model: VAE, x: Tensor, y: Tensor | None, leapfrog_steps: int) -> _Schedule:
    """Temperatures between which the log weight has the deviation `SPACING`, by chains of their own."""

    def moved(chains: Chains, moves: int) -> Chains:
        return hmc(partial(model.log_joint, x, y=y, beta=beta.to(x.dtype)), chains, moves, leapfrog_steps, TARGET)

    beta = x.new_zeros(len(x), dtype=torch.float64)
    betas, step_sizes = [beta], []
    pilot = moved(begin(model.prior.sample((PILOT_CHAINS, len(x)))), PILOT_MOVES)
    while (beta < 1).any():
        deviation = model.decode(pilot.z, y).log_prob(x).double().std(0)
        step = torch.maximum((SPACING / deviation).nan_to_num(0), SMALLEST_STEP + SMALLEST_GROWTH * beta)
        beta = (beta + step).clamp(max=1)
        pilot = moved(pilot, 1)
        betas.append(beta)
        step_sizes.append(pilot.step_size)
    every = torch.stack(betas)
    return _Schedule(every, torch.stack(step_sizes), (every < 1).sum(0))


def _anneal(
    model: VAE, x: Tensor, y: Tensor | None, chains: int, schedule: _Schedule, leapfrog_steps: int
) -> AnnealedEstimate:
    chain = begin(model.prior.sample((chains, len(x))))
    log_weights = x.new_zeros(chains, len(x), dtype=torch.float64)
    for (before, beta), step_size in zip(pairwise(schedule.betas), schedule.step_sizes, strict=True):
        log_weights += (beta - before) * model.decode(chain.z, y).log_prob(x)
        density = partial(model.log_joint, x, y=y, beta=beta.to(x.dtype))
        chain = hmc(density, replace(chain, step_size=step_size), 1, leapfrog_steps)
    value, error = _log_mean(log_weights)
    spread = log_weights.std(0) if chains > 1 else torch.full_like(value, math.nan)
    return AnnealedEstimate(value, error, spread, len(schedule.step_sizes), math.nan)


@torch.no_grad()
def by_posterior_samples(
    model: VAE,
    x: Tensor,
    y: Tensor | None,
    samples: int = 50,
    leapfrog_steps: int = 4,
    chains: int = 10,
    burn_in: int = 20,
    begin_at: BeginAt = "prior",
) -> Estimate:
    """The estimator of arXiv 1312.6114, appendix D: p̂(x) = [mean of q(z)/(p(z) p(x|z))]⁻¹ over posterior samples.

    q(z) is a normal with the mean and covariance of posterior samples; the mean is taken over *new* ones, of chains of
    their own: those that go on from the chains that q was fitted to lie where q is large, and the estimate is too low.
    Both come from HMC, a sample per trajectory of each chain. 1/p̂(x) is unbiased, so log p̂(x) is high in expectation,
    by little: it is no bound. For few latents only: a normal must fit the posterior.

    Args:
        model: In evaluation mode.
        x: Images (B, C, H, W).
        y: Labels (B,), for a conditional model.
        samples: Posterior samples to fit q(z) to, and as many new ones; rounded up to as many of each chain.
        leapfrog_steps: Of each HMC trajectory.
        chains: Per image, for each of the two purposes; as many at most as there are samples.
        burn_in: Trajectories before the samples are taken, in which the step sizes are tuned.
        begin_at: Where the chains begin. One that begins at the encoder's draws stays in the mode where those lie,
            which where the encoder is wrong is not the largest: the estimate is then lower.

    Returns:
        log p̂(x) of each image, (B,), with its error over the chains.

    Raises:
        UserError: More than 4 latents.
    """
    if model.latent_dim > MOST_LATENTS:
        raise UserError(f"the estimator by posterior samples is for fewer than 5 latents, not {model.latent_dim}")

    chains = min(chains, samples)
    each = math.ceil(samples / chains)
    values, errors = [], []
    for z, log_joint in pieces(model, x, y, 2 * chains, begin_at):
        fitted, new = (_posterior_samples(log_joint, half, burn_in, each, leapfrog_steps) for half in z.split(chains))
        log_ratios = _fit_normal(fitted).log_prob(new) - log_joint(new)
        of_chains = log_ratios.unflatten(0, (each, chains)).logsumexp(0) - math.log(each)
        value, error = _log_mean(of_chains)
        values.append(-value)
        errors.append(error)
    return Estimate(torch.cat(values), torch.cat(errors))


def _posterior_samples(log_joint: LogDensity, z: Tensor, burn_in: int, each: int, leapfrog_steps: int) -> Tensor:
    """So many samples of each chain that begins at z (S, B, D): (each · S, B, D)."""
    reached = hmc(log_joint, begin(z), burn_in, leapfrog_steps, TARGET)
    return trace(log_joint, reached, each, leapfrog_steps)[1]


def _fit_normal(z: Tensor) -> MultivariateNormal:
    """A normal per image to samples (S, B, D)."""
    mean = z.mean(0)
    centred = (z - mean).transpose(0, 1)
    covariance = centred.transpose(1, 2) @ centred / (len(z) - 1)
    # relative, or it would widen a narrow one; chains that never moved have none
    floor = 1e-6 * covariance.diagonal(dim1=1, dim2=2).mean(1) + 1e-12
    return MultivariateNormal(mean, covariance + floor[:, None, None] * torch.eye(z.shape[-1]).to(z))


def _log_mean(log_values: Tensor) -> tuple[Tensor, Tensor]:
    """Of values (S, B) the log of the mean and that log's standard error, (B,)."""
    count = len(log_values)
    total, of_squares = log_values.logsumexp(0), (2 * log_values).logsumexp(0)
    return total - math.log(count), _relative_error(total, of_squares, count)


def _relative_error(log_sum: Tensor, log_sum_of_squares: Tensor, count: int) -> Tensor:
    """The standard error of a mean over `count` values, in parts of the mean, (B,); NaN of one value.

    √((n Σw²/(Σw)² − 1)/(n − 1)), to first order the error of the mean's log.
    """
    if count == 1:
        return torch.full_like(log_sum, math.nan)
    excess = count * torch.exp(log_sum_of_squares - 2 * log_sum) - 1
    return (excess.clamp(min=0) / (count - 1)).sqrt()
