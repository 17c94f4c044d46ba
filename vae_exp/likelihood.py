"""Likelihoods p(x|z): what a decoder's features mean."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from pydantic import PositiveFloat
from torch import Tensor, distributions, nn
from torch.distributions import Distribution, Independent, constraints

from vae_exp.errors import ConfigError


@contextmanager
def unvalidated() -> Iterator[None]:
    """Let distributions trust their arguments: uint8 images cannot leave [0, 1], and checking costs time."""
    before = Distribution._validate_args
    Distribution.set_default_validate_args(False)
    try:
        yield
    finally:
        Distribution.set_default_validate_args(before)


class Likelihood(nn.Module, ABC):
    """Decoder features to a distribution over images.

    Attributes:
        parameters_per_pixel: How many feature maps the decoder gives per image channel.
        density: Whether pixels are continuous: p(x|z) is then a density, else a probability.
        binary: Whether pixels are 0 or 1, and grey ones stand for the probability of 1.
        unbounded: Whether log p(x|z) has no limit where pixels take few values, as a density of continuous pixels
            has none whose width is learned.
    """

    parameters_per_pixel: int
    density: bool = False
    binary: bool = False
    unbounded: bool = False

    @abstractmethod
    def forward(self, features: Tensor) -> Distribution:
        """p(x|z) with batch shape (…) and event shape (C, H, W), from features (…, parameters_per_pixel·C, H, W)."""

    @abstractmethod
    def diagnostics(self, p: Distribution) -> dict[str, float]:
        """What to keep an eye on in such a distribution, beside its terms."""


class GreyBernoulli(distributions.Bernoulli):
    """log p(x) = Σ x·log π + (1−x)·log(1−π), also for grey x in [0, 1] (arXiv 1312.6114, appendix C.1).

    For grey x this is a cross-entropy, not a normalised density: the mean of log p(b) over binary images b drawn with
    probabilities x, at most −Σ H(x). Outside [0, 1] `log_prob` raises ValueError.
    """

    support = constraints.unit_interval  # type: ignore[assignment]


class Bernoulli(Likelihood):
    """π = sigmoid(features): binary images, or grey ones taken as probabilities (arXiv 1312.6114, eq. 11)."""

    parameters_per_pixel = 1
    binary = True

    def forward(self, features: Tensor) -> Distribution:
        """p(x|z) with batch shape (…) and event shape (C, H, W)."""
        return Independent(GreyBernoulli(logits=features), 3)

    def diagnostics(self, p: Distribution) -> dict[str, float]:
        """Nothing: the likelihood is bounded."""
        return {}


class Floor(torch.autograd.Function):
    """max(x, floor); below the floor the gradient still passes where a descent step would raise x.

    A plain clamp has no gradient there: a σ that fell below its floor would not come up again.
    """

    @staticmethod
    def forward(x: Tensor, floor: float) -> Tensor:
        """Any shape."""
        return x.clamp(min=floor)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, float], output: Tensor) -> None:
        """Keep what the gradient needs."""
        x, ctx.floor = inputs
        ctx.save_for_backward(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Of x."""
        (x,) = ctx.saved_tensors
        return gradient * ((x >= ctx.floor) | (gradient < 0)), None


def floored(x: Tensor, floor: float) -> Tensor:
    """`Floor` of x, any shape."""
    y: Tensor = Floor.apply(x, floor)
    return y


ROUNDING = 1e-5
"""Relative, of a σ that was computed from its logarithm in float32."""

MEANS: dict[str, Callable[[Tensor], Tensor]] = {"sigmoid": torch.sigmoid, "identity": lambda features: features}


class Gaussian(Likelihood):
    """N(x; μ, σ²) per pixel, by default μ = sigmoid(features) (arXiv 1312.6114, eq. 12 and appendix C.2).

    A continuous density has no upper bound: a pixel that is always black lets σ → 0 and log p → ∞. σ has a floor.

    Args:
        variance: `learned` by the decoder for each pixel (the paper), one `shared` learned scalar, or `fixed`:
            then −log p is the squared error over 2·std², up to a constant.
        std: The fixed σ, or where the shared one starts; in units of the pixel, [0, 1].
        min_std: The floor of σ.
        mean: `sigmoid` of the features, so that it lies where pixels do, or the features themselves (`identity`).

    Raises:
        ConfigError: `std` lies below the floor.
    """

    parameters_per_pixel = 2
    density = True

    def __init__(
        self,
        variance: Literal["learned", "shared", "fixed"] = "learned",
        std: PositiveFloat = 1.0,
        min_std: PositiveFloat = 0.01,
        mean: Literal["sigmoid", "identity"] = "sigmoid",
    ) -> None:
        super().__init__()
        self.parameters_per_pixel = 2 if variance == "learned" else 1
        if variance != "learned" and std < min_std:
            raise ConfigError(f"likelihood.std={std:g}: lies below the floor of σ, likelihood.min_std={min_std:g}")
        self.unbounded = variance != "fixed"
        self.min_std = min_std
        self.mean: Callable[[Tensor], Tensor] = MEANS[mean]
        log_variance = torch.tensor(2 * math.log(std))
        self.log_variance = nn.Parameter(log_variance, requires_grad=variance == "shared")

    def forward(self, features: Tensor) -> Distribution:
        """p(x|z) with batch shape (…) and event shape (C, H, W)."""
        maps = features.chunk(self.parameters_per_pixel, dim=-3)
        log_variance = maps[1] if len(maps) == 2 else self.log_variance
        std = floored(torch.exp(0.5 * log_variance), self.min_std)
        return Independent(distributions.Normal(self.mean(maps[0]), std), 3)

    def diagnostics(self, p: Distribution) -> dict[str, float]:
        """The share of pixels whose σ sits on its floor, up to rounding."""
        return {"share_at_min_std": (p.stddev <= self.min_std * (1 + ROUNDING)).double().mean().item()}
