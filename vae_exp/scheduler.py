"""Schedules of the learning rate, over training samples. They are PyTorch's own schedulers, one step per batch.

A scheduler takes one step after every batch, and each batch has `batch_size` images, so its n-th step is reached after
n·batch_size samples. Lengths are given in samples and rounded to whole batches.
"""

import math
from typing import Annotated

from annotated_types import Interval
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LinearLR, LRScheduler, ReduceLROnPlateau, StepLR

Share = Annotated[float, Interval(ge=0, le=1)]
Factor = Annotated[float, Interval(gt=0, lt=1)]


def cosine(optimizer: Optimizer, batch_size: PositiveInt, samples: PositiveInt, final: Share = 0.0) -> LRScheduler:
    """Lower the rate along half a cosine (Loshchilov and Hutter 2017, eq. 5, without restarts).

    It is `CosineAnnealingLR` up to `samples`. After that the rate stays, where `CosineAnnealingLR` raises it again.

    Args:
        optimizer: Its `lr` is the rate at the start.
        batch_size: Images per batch.
        samples: The samples after which the rate has its final value.
        final: The rate at the end, as a share of `optimizer.lr`.
    """
    steps = _steps(samples, batch_size)
    return LambdaLR(optimizer, lambda n: final + (1 - final) * (1 + math.cos(math.pi * min(n / steps, 1))) / 2)


def step(optimizer: Optimizer, batch_size: PositiveInt, samples: PositiveInt, factor: Factor = 0.1) -> LRScheduler:
    """Multiply the rate by `factor` after every `samples` samples (`StepLR`).

    Args:
        optimizer: Its `lr` is the rate at the start.
        batch_size: Images per batch.
        samples: The samples between two changes.
        factor: What the rate is multiplied by.
    """
    return StepLR(optimizer, _steps(samples, batch_size), factor)


def linear_warmup(
    optimizer: Optimizer,
    batch_size: PositiveInt,
    samples: PositiveInt,
    start: Annotated[float, Interval(gt=0, le=1)] = 0.01,
) -> LRScheduler:
    """Raise the rate linearly to `optimizer.lr`, then keep it (`LinearLR`; Goyal et al. 2017, section 2.2).

    Args:
        optimizer: Its `lr` is the rate after the warm-up.
        batch_size: Images per batch.
        samples: The length of the warm-up.
        start: The rate at the start, as a share of `optimizer.lr`.
    """
    return LinearLR(optimizer, start, total_iters=_steps(samples, batch_size))


def plateau(
    optimizer: Optimizer,
    factor: Factor = 0.1,
    patience: NonNegativeInt = 2,
    threshold: NonNegativeFloat = 0.0,
    min_lr: NonNegativeFloat = 0.0,
) -> LRScheduler:
    """Multiply the rate by `factor` when evaluations no longer improve (`ReduceLROnPlateau`).

    It takes a step at every evaluation and not at every batch. It judges by the validation split if there is one,
    otherwise by the training split.

    Args:
        optimizer: Its `lr` is the rate at the start.
        factor: What the rate is multiplied by.
        patience: The evaluations without an improvement that are waited for.
        threshold: The smallest change that is an improvement: nats per image, or a share of the images for an error.
            It is absolute: relative to a bound, which may have either sign, it would have no meaning.
        min_lr: The lowest rate.
    """
    return ReduceLROnPlateau(optimizer, "min", factor, patience, threshold, "abs", min_lr=min_lr)


def _steps(samples: int, batch_size: int) -> int:
    """Return the number of batches that have this many samples, rounded, at least 1."""
    return max(1, round(samples / batch_size))
