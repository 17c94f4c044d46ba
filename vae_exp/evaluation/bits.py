"""A bound on a density as bits per dimension."""

import math

from vae_exp.network import Shape


def bits_per_dim(bound: float, shape: Shape) -> float:
    """(−L/D + ln 255)/ln 2: what a pixel costs in bits, lower is better.

    Pixels of 256 levels lie 1/255 apart, so that a level has a probability of about p(x)/255 where the density changes
    little from one level to the next. Where σ is not far above 1/255 it changes much, and the number is too low.

    Args:
        bound: L, on the density of pixels in [0, 1], in nats per image.
        shape: (C, H, W) of an image, of D values.
    """
    return (-bound / math.prod(shape) + math.log(255)) / math.log(2)
