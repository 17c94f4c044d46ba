"""Converts a bound on a density to bits per dimension."""

import math

from vae_exp.network import Shape


def bits_per_dim(bound: float, shape: Shape) -> float:
    """Compute (−L/D + ln 255)/ln 2, the cost of a pixel in bits; lower is better.

    The 256 levels of a pixel are 1/255 apart. If the density changes little from one level to the next, the probability
    of a level is about p(x)/255. If σ is not far above 1/255, the density changes much, and the result is too low.

    Args:
        bound: L, the bound on the log density of pixels in [0, 1], in nats per image.
        shape: (C, H, W) of an image; D = C·H·W.
    """
    return (-bound / math.prod(shape) + math.log(255)) / math.log(2)
