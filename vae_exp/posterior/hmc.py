"""Samples from p(z|x) by Hamiltonian Monte Carlo, which needs no encoder: only the prior and the decoder."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import repeat
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution

from vae_exp.errors import UserError
from vae_exp.hmc import TARGET_ACCEPTANCE, LogDensity, hmc, start_chains, trace
from vae_exp.posterior.base import Posterior
from vae_exp.prior.normal import DiagonalNormal

BeginAt = Literal["prior", "encoder"]
"""Where chains start: at draws from the prior that explain the image well, or at draws from q(z|x)."""

DRAWS, NEAREST = 20_000, 50
"""Number of draws from the prior, and how many of them are weighted for each image."""

CHAINS, BURN_IN, POINTS, LEAPFROG_STEPS = 8, 20, 10, 5
"""Settings of Hamiltonian Monte Carlo. The last `POINTS` states of every chain are its samples."""

SEARCHED_AT_ONCE, MOVED_AT_ONCE = 1000, 100
"""Images per batch: as many as memory allows, and few enough for their chains to fit in the CPU's cache."""

SMALLEST_STD = 1e-6
"""Added to the standard deviation of a fitted q(z|x), which is zero if the chains never moved."""

Encode = Callable[[Tensor, Tensor | None], Distribution]
"""Maps images (B, C, H, W) and labels (B,) to q(z|x)."""


class Joint(NamedTuple):
    """p(x, z) = p(z) p(x|z) of a generative model, or p(x, z|y).

    Attributes:
        prior: p(z), event (D,).
        decode: Maps latents (…, B, D) and labels (B,) to p(x|z). The log density must have its true gradient.
        classes: Number of classes if the decoder takes a label; otherwise 0.
    """

    prior: Distribution
    decode: Callable[[Tensor, Tensor | None], Distribution]
    classes: int

    def log_density(self, x: Tensor, z: Tensor, y: Tensor | None = None, beta: float | Tensor = 1.0) -> Tensor:
        """Compute log p(z) + β log p(x|z), (S, B), for latents (S, B, D) and one β, or one β per image, (B,)."""
        value: Tensor = self.prior.log_prob(z) + beta * self.decode(z, y).log_prob(x)
        return value


class HMCPosterior(Posterior):
    """q(z|x) without an encoder: a normal with the mean and the variances of samples from p(z|x) by HMC.

    This takes some thousand times as long as with an encoder.

    Args:
        joint: Returns p(x, z) of the model, which must be in evaluation mode.
    """

    amortized = False

    def __init__(self, joint: Callable[[], Joint]) -> None:
        self._joint = joint

    def __call__(self, x: Tensor, c: Tensor) -> DiagonalNormal:
        """Find q(z|x), batch (B,), event (latent_dim,)."""
        y = c.argmax(1) if c.shape[1] else None
        z = posterior_samples(self._joint(), x, y)
        return DiagonalNormal(z.mean(0), 2 * (z.std(0) + SMALLEST_STD).log())

    def filters(self) -> Tensor:
        """Refuse: there is no encoder.

        Raises:
            UserError: Always.
        """
        raise UserError("q(z|x) is found by Hamiltonian Monte Carlo, without an encoder, so there are no filters of it")


@torch.no_grad()
def starting_points(joint: Joint, x: Tensor, y: Tensor | None, chains: int) -> Tensor:
    """Choose the latents at which chains start: draws from the prior, resampled by p(x|z) for each image (Rubin 1987).

    There are very many draws, because a posterior of few latents has several modes and a chain does not leave the mode
    in which it starts. To save time, only the draws with decoded means nearest to the image are weighted.

    Args:
        joint: The model, in evaluation mode.
        x: Images (B, C, H, W).
        y: Labels (B,), for a conditional model.
        chains: Number of chains per image, S.

    Returns:
        The latents, (S, B, latent_dim).
    """
    z = joint.prior.sample((DRAWS,))
    labels = y if y is not None and joint.classes else torch.zeros(len(x), dtype=torch.int64, device=x.device)
    nearest = labels.new_empty(len(x), NEAREST)
    for label in labels.unique():
        means = joint.decode(z, label.expand(DRAWS)).mean.flatten(1)
        distances = torch.cdist(x[labels == label].flatten(1), means)
        nearest[labels == label] = distances.topk(NEAREST, largest=False).indices
    candidates = z[nearest.T]
    log_weights = torch.cat([joint.decode(latents, y).log_prob(x) for latents in candidates.split(chains)])
    chosen = Categorical(logits=log_weights.T).sample((chains,))
    return candidates[chosen, torch.arange(len(x), device=x.device)]


@torch.no_grad()
def posterior_samples(joint: Joint, x: Tensor, y: Tensor | None) -> Tensor:
    """Draw from p(z|x), or from p(z|x, y), by Hamiltonian Monte Carlo: (80, B, latent_dim)."""
    samples = []
    for z, log_joint in chain_batches(joint, x, y, CHAINS):
        chains = hmc(log_joint, start_chains(z), BURN_IN, LEAPFROG_STEPS, TARGET_ACCEPTANCE)
        samples.append(trace(log_joint, chains, POINTS, LEAPFROG_STEPS)[1])
    return torch.cat(samples, 1)


def chain_batches(
    joint: Joint, x: Tensor, y: Tensor | None, chains: int, encode: Encode | None = None
) -> Iterator[tuple[Tensor, LogDensity]]:
    """Yield, for b images at a time, the starting points (S, b, D) of their chains and log p(x, z) as a function of z.

    The chains start at draws from the prior that explain the image well, or, with `encode`, at draws from q(z|x).
    """
    for large_x, large_y in _split(x, y, SEARCHED_AT_ONCE):
        if encode is not None:
            start = encode(large_x, large_y).sample((chains,))
        else:
            start = starting_points(joint, large_x, large_y, chains)
        batches = zip(start.split(MOVED_AT_ONCE, 1), _split(large_x, large_y, MOVED_AT_ONCE), strict=True)
        for z, (small_x, small_y) in batches:
            yield z, partial(joint.log_density, small_x, y=small_y)


def _split(x: Tensor, y: Tensor | None, size: int) -> Iterator[tuple[Tensor, Tensor | None]]:
    yield from zip(x.split(size), repeat(None) if y is None else y.split(size), strict=False)
