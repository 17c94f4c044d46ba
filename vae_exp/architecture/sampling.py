"""Samples of p(z|x) without an encoder: from the prior and the decoder alone."""

from collections.abc import Iterator
from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor
from torch.distributions import Categorical

from vae_exp.hmc import TARGET, LogDensity, begin, hmc, trace

if TYPE_CHECKING:
    from vae_exp.architecture.variational import VAE

BeginAt = Literal["prior", "encoder"]
"""Where chains begin: at draws from the prior that explain an image, or at draws from q(z|x)."""

DRAWS, NEAREST = 20_000, 50
"""From the prior; and how many of them each image takes into consideration."""

CHAINS, BURN_IN, POINTS, LEAPFROG_STEPS = 8, 20, 10, 5
"""Of Hamiltonian Monte Carlo; every chain's last places are its samples."""

SEARCHED_AT_ONCE, MOVED_AT_ONCE = 1000, 100
"""Images: as many as memory allows, and few enough for their chains to stay in the processor's cache."""


@torch.no_grad()
def starting_points(model: "VAE", x: Tensor, y: Tensor | None, chains: int) -> Tensor:
    """Latents to begin chains at: draws from the prior, resampled by how well they explain each image (Rubin 1987).

    Only draws whose means lie nearest to an image are weighed, among very many: a posterior of few latents has several
    modes, and chains do not leave the one that they begin in.

    Args:
        model: In evaluation mode.
        x: Images (B, C, H, W).
        y: Labels (B,), for a conditional model.
        chains: Per image, S.

    Returns:
        (S, B, latent_dim).
    """
    z = model.prior.sample((DRAWS,))
    labels = y if y is not None and model.classes else torch.zeros(len(x), dtype=torch.int64, device=x.device)
    nearest = labels.new_empty(len(x), NEAREST)
    for label in labels.unique():
        means = model.decode(z, label.expand(DRAWS)).mean.flatten(1)
        distances = torch.cdist(x[labels == label].flatten(1), means)
        nearest[labels == label] = distances.topk(NEAREST, largest=False).indices
    candidates = z[nearest.T]
    log_weights = torch.cat([model.decode(some, y).log_prob(x) for some in candidates.split(chains)])
    chosen = Categorical(logits=log_weights.T).sample((chains,))
    return candidates[chosen, torch.arange(len(x), device=x.device)]


@torch.no_grad()
def posterior_samples(model: "VAE", x: Tensor, y: Tensor | None) -> Tensor:
    """Samples of p(z|x), or of p(z|x, y), by Hamiltonian Monte Carlo: (80, B, latent_dim)."""
    samples = []
    for z, log_joint in pieces(model, x, y, CHAINS):
        chains = hmc(log_joint, begin(z), BURN_IN, LEAPFROG_STEPS, TARGET)
        samples.append(trace(log_joint, chains, POINTS, LEAPFROG_STEPS)[1])
    return torch.cat(samples, 1)


def pieces(
    model: "VAE", x: Tensor, y: Tensor | None, chains: int, begin_at: BeginAt = "prior"
) -> Iterator[tuple[Tensor, LogDensity]]:
    """Of some images at a time their starting points and log p(x, z) as a function of z."""
    for many_x, many_y in _split(x, y, SEARCHED_AT_ONCE):
        if begin_at == "encoder":
            start = model.posterior(many_x, many_y).sample((chains,))
        else:
            start = starting_points(model, many_x, many_y, chains)
        moved = zip(start.split(MOVED_AT_ONCE, 1), _split(many_x, many_y, MOVED_AT_ONCE), strict=True)
        for z, (some_x, some_y) in moved:
            yield z, partial(model.log_joint, some_x, y=some_y)


def _split(x: Tensor, y: Tensor | None, size: int) -> Iterator[tuple[Tensor, Tensor | None]]:
    yield from zip(x.split(size), repeat(None) if y is None else y.split(size), strict=False)
