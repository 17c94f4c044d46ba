"""Pixels of 256 levels, 0, 1/255, …, 1, to which a discrete likelihood gives probabilities."""

from torch import Tensor
from torch.distributions import constraints

LEVELS = 256
"""The number of levels, as an image file has them."""

ROUNDING = 1e-3
"""The largest distance from a level, in levels, that is rounding: bytes divided by 255 in float32 have 2·10⁻⁵."""


class Levels(constraints.Constraint):
    """The numbers 0, 1/255, …, 1, up to rounding."""

    def check(self, value: Tensor) -> Tensor:
        """Tell of every number whether it is a level."""
        near = (255 * value - (255 * value).round()).abs() <= ROUNDING
        return near & (value > -ROUNDING) & (value < 1 + ROUNDING)


levels = Levels()


def index(value: Tensor) -> Tensor:
    """Return the level of every pixel, int64 from 0 to 255."""
    return (255 * value).round().long()
