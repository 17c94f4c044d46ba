"""Estimates of log p(x), in nats per image, of models with a prior."""

import math
from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from vae_exp.architecture import VAE
from vae_exp.architecture.sampling import BeginAt, pieces
from vae_exp.errors import UserError
from vae_exp.hmc import TARGET, begin, hmc, trace

DECODED_AT_ONCE = 4_000
"""Images that are decoded at a time: some 100 MB hold them and what their likelihood needs on the way."""

PILOT_CHAINS = 4
PILOT_MOVES = 20

MOST_LATENTS = 4
"""Of the estimator by posterior samples: a normal has to fit the posterior (arXiv 1312.6114, appendix D)."""


@torch.no_grad()
def importance_weighted(model: VAE, x: Tensor, y: Tensor | None, k: int) -> Tensor:
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
    total = x.new_full((len(x),), -math.inf)
    at_once = max(1, DECODED_AT_ONCE // len(x))
    for first in range(0, k, at_once):
        z = q.sample((min(at_once, k - first),))
        log_weights = model.log_joint(x, z, y) - q.log_prob(z)
        total = torch.logaddexp(total, log_weights.logsumexp(0))
    return total - math.log(k)


@torch.no_grad()
def annealed(
    model: VAE, x: Tensor, y: Tensor | None, chains: int = 16, temperatures: int = 500, leapfrog_steps: int = 5
) -> Tensor:
    """Annealed importance sampling from the prior to the posterior, with HMC moves (Neal 2001; arXiv 1611.04273).

    The path is p(z) p(x|z)^β with β along a sigmoid. The estimate of p(x) is unbiased, that of log p(x) a lower bound
    in expectation; it does not depend on the encoder. A few chains go first to find every move's step size: step
    sizes that followed the chains they move would leave no distribution as it is.

    Args:
        model: In evaluation mode.
        x: Images (B, C, H, W).
        y: Labels (B,), for a conditional model.
        chains: Per image.
        temperatures: How many distributions lie on the path.
        leapfrog_steps: Of each HMC move; one move per temperature.

    Returns:
        log p̂(x) of each image, (B,).
    """
    steps = torch.linspace(-4, 4, temperatures + 1, dtype=torch.float64).sigmoid()
    betas = ((steps - steps[0]) / (steps[-1] - steps[0])).tolist()
    densities = [lambda z, beta=beta: model.log_joint(x, z, y, beta) for beta in betas[1:]]

    step_sizes = []
    pilot = hmc(densities[0], begin(model.prior.sample((PILOT_CHAINS, len(x)))), PILOT_MOVES, leapfrog_steps, TARGET)
    for density in densities:
        step_sizes.append(pilot.step_size)
        pilot = hmc(density, pilot, 1, leapfrog_steps, TARGET)

    chain = begin(model.prior.sample((chains, len(x))))
    log_weights = x.new_zeros(chains, len(x))
    for (before, beta), density, step_size in zip(pairwise(betas), densities, step_sizes, strict=True):
        log_weights += (beta - before) * model.decode(chain.z, y).log_prob(x)
        chain = hmc(density, replace(chain, step_size=step_size), 1, leapfrog_steps)
    return log_weights.logsumexp(0) - math.log(chains)


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
) -> Tensor:
    """The estimator of arXiv 1312.6114, appendix D: p̂(x) = [mean of q(z)/(p(z) p(x|z))]⁻¹ over posterior samples.

    q(z) is a normal with the mean and covariance of posterior samples; the mean is taken over *new* ones. Both come
    from HMC, a sample per trajectory of each chain. For few latents only: a normal must fit the posterior.

    Args:
        model: In evaluation mode.
        x: Images (B, C, H, W).
        y: Labels (B,), for a conditional model.
        samples: Posterior samples to fit q(z) to, and as many new ones.
        leapfrog_steps: Of each HMC trajectory.
        chains: Per image; as many at most as there are samples.
        burn_in: Trajectories before the samples are taken, in which the step sizes are tuned.
        begin_at: Where the chains begin. One that begins at the encoder's draws stays in the mode where those lie,
            which where the encoder is wrong is not the largest: the estimate is then lower.

    Returns:
        log p̂(x) of each image, (B,).

    Raises:
        UserError: More than 4 latents.
    """
    if model.latent_dim > MOST_LATENTS:
        raise UserError(f"the estimator by posterior samples is for fewer than 5 latents, not {model.latent_dim}")

    chains = min(chains, samples)
    each = math.ceil(samples / chains)
    estimates = []
    for z, log_joint in pieces(model, x, y, chains, begin_at):
        reached = hmc(log_joint, begin(z), burn_in, leapfrog_steps, TARGET)
        reached, first = trace(log_joint, reached, each, leapfrog_steps)
        q = _fit_normal(first[:samples])
        new = trace(log_joint, reached, each, leapfrog_steps)[1][:samples]
        log_ratios = q.log_prob(new) - log_joint(new)
        estimates.append(math.log(samples) - log_ratios.logsumexp(0))
    return torch.cat(estimates)


def _fit_normal(z: Tensor) -> MultivariateNormal:
    """A normal per image to samples (S, B, D)."""
    mean = z.mean(0)
    centred = (z - mean).transpose(0, 1)
    covariance = centred.transpose(1, 2) @ centred / (len(z) - 1)
    floor = 1e-6 * torch.eye(z.shape[-1], dtype=z.dtype, device=z.device)  # chains that never moved have none
    return MultivariateNormal(mean, covariance + floor)
