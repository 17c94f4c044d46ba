"""Scales with a floor: the gradient that raises a scale that fell below it."""

from collections.abc import Callable
from typing import Any, ClassVar

from torch import Size, Tensor
from torch.distributions import Distribution, constraints

ROUNDING = 1e-5
"""The relative rounding error of a scale that is computed from its logarithm in float32."""


class PulledUp(Distribution):
    """A density per pixel for training, whose gradient raises a scale below the floor if a larger one raises log p.

    Below the floor, log p(x) is that of max(scale, floor) and does not depend on the scale. Its true gradient is zero
    there, so a scale that fell below the floor would never rise again. Here the logarithm of the scale instead has the
    gradient that it has at the floor, if that is positive, however far below the floor the scale is. This replaces the
    gradient of log p, so it works whether log p is maximised or −log p minimised. The value of log p is unchanged.

    Args:
        p: The density with max(scale, floor).
        log_scale: The logarithm of the scale, or of its square, without the floor; broadcasts to the pixels.
        below: Whether the scale is below the floor; of the shape of `log_scale`.
        slope: Maps x to ∂ log p(x)/∂ log_scale at the scale of `p`.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}
    support = constraints.real
    has_rsample = True

    def __init__(self, p: Distribution, log_scale: Tensor, below: Tensor, slope: Callable[[Tensor], Tensor]) -> None:
        self.p, self.log_scale, self.below, self.slope = p, log_scale, below, slope
        super().__init__(p.batch_shape)

    @property
    def mean(self) -> Tensor:
        """The mean of `p`."""
        return self.p.mean

    @property
    def variance(self) -> Tensor:
        """The variance of `p`."""
        return self.p.variance

    def rsample(self, sample_shape: Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Draw x, (*sample_shape, …), differentiable in the parameters of `p`."""
        return self.p.rsample(Size(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """Compute log p, with the gradient that the class describes."""
        slope = self.slope(value).detach()
        gradient = slope.sum_to_size(self.log_scale.shape) * (self.log_scale.numel() / slope.numel())
        zero = self.log_scale - self.log_scale.detach()
        raised: Tensor = (gradient.clamp(min=0) * zero).where(self.below, 0.0)
        log_prob: Tensor = self.p.log_prob(value)
        return log_prob + raised
