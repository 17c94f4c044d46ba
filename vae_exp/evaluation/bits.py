"""Converts a bound to bits per dimension."""

import math

from vae_exp.network import Shape


def bits_per_dim(bound: float, shape: Shape, density: bool) -> float:
    """Compute the cost of a pixel in bits: (−L/D + ln 255)/ln 2 for a density, −L/(D·ln 2) for a probability.

    Lower is better. The 256 levels of a pixel are 1/255 apart. If the density changes little from one level to the
    next, the probability of a level is about p(x)/255. If σ is not far above 1/255, the density changes much, and the
    result is too low. A probability of the levels needs no such condition.

    Args:
        bound: L, the bound on the log density or log probability of pixels in [0, 1], in nats per image.
        shape: (C, H, W) of an image; D = C·H·W.
        density: Whether L bounds a log density.
    """
    return (-bound / math.prod(shape) + (math.log(255) if density else 0)) / math.log(2)
