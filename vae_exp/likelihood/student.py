"""The likelihood of Student's t."""

import math
from typing import Annotated, ClassVar, Literal

from annotated_types import Gt
from pydantic import PositiveFloat
from torch import Size, Tensor, distributions
from torch.distributions import Distribution, constraints

from vae_exp.likelihood.base import check_support
from vae_exp.likelihood.location_scale import LocationScale, Width


class StudentDensity(Distribution):
    """Student's t with one ν, a number. PyTorch's computes log Γ of ν for every pixel.

    Args:
        df: ν.
        loc: μ, any shape.
        scale: s > 0, of the same shape.
    """

    arg_constraints: ClassVar = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True

    def __init__(self, df: float, loc: Tensor, scale: Tensor, validate_args: bool | None = None) -> None:
        self.df, self.loc, self.scale = df, loc, scale.expand_as(loc)
        super().__init__(loc.shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        """μ, which is the mean if ν > 1."""
        return self.loc

    @property
    def variance(self) -> Tensor:
        """s²·ν/(ν − 2); infinite if ν ≤ 2."""
        return self.scale.square() * (self.df / (self.df - 2) if self.df > 2 else math.inf)

    def log_prob(self, value: Tensor) -> Tensor:
        """Compute the log density, in nats per pixel."""
        check_support(self, value)
        df = self.df
        constant = math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - 0.5 * math.log(math.pi * df)
        r = (value - self.loc) / self.scale
        return constant - self.scale.log() - (df + 1) / 2 * (r.square() / df).log1p()

    def rsample(self, sample_shape: Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Draw x, (*sample_shape, …), differentiable in μ and s."""
        return distributions.StudentT(self.df, self.loc, self.scale).rsample(Size(sample_shape))


class Student(LocationScale):
    """p(x|z) = Π Γ((ν+1)/2)/(Γ(ν/2)·√(πν)·s)·(1 + r²/ν)^(−(ν+1)/2), r = (x − μ)/s (Takahashi et al. 2018, IJCAI).

    A pixel far from μ costs only (ν+1)·log|r|, where a Gaussian has ½r². There ν is learned for each pixel; here it is
    one fixed number.

    Args:
        width: `learned`: the decoder gives s for each pixel. `shared`: one learned scalar. `fixed`: `scale`.
        scale: The fixed s, or the initial value of the shared s; in units of the pixel, [0, 1].
        min_scale: The floor of s.
        mean: `sigmoid` of the features, which lies in [0, 1] like the pixels, or the features themselves (`identity`).
        df: ν, the degrees of freedom. The mean exists above 1, the variance above 2; ∞ would be a Gaussian.

    Raises:
        ConfigError: `scale` lies below the floor.
    """

    def __init__(
        self,
        width: Width = "learned",
        scale: PositiveFloat = 1.0,
        min_scale: PositiveFloat = 0.01,
        mean: Literal["sigmoid", "identity"] = "sigmoid",
        df: Annotated[float, Gt(1)] = 5.0,
    ) -> None:
        super().__init__(width, scale, min_scale, mean)
        self.df = df

    def _density(self, loc: Tensor, scale: Tensor) -> Distribution:
        return StudentDensity(self.df, loc, scale)

    def _slope(self, r: Tensor) -> Tensor:
        return (self.df + 1) * r.square() / (self.df + r.square()) - 1
