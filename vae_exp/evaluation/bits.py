"""Converts a bound to bits per dimension."""

import math

from vae_exp.network import Shape


def bits_per_dim(bound: float, shape: Shape, step: float | None) -> float:
    """Compute the cost of a pixel in bits: (−L/D − ln step)/ln 2 for a density, −L/(D·ln 2) for a probability.

    Lower is better. If the density changes little from one level to the next, the probability of a level is about
    p(x) · step. If σ is not far above the step, the density changes much, and the result is too low. A probability of
    the levels needs no such condition, and neither does a density of dequantised pixels: it cannot be too low.

    Args:
        bound: L, the bound on the log density or log probability of pixels in [0, 1], in nats per image.
        shape: (C, H, W) of an image; D = C·H·W.
        step: The distance between two levels if L bounds a log density; None if it bounds a log probability.
    """
    return (-bound / math.prod(shape) - (math.log(step) if step else 0)) / math.log(2)
