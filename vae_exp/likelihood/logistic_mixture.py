"""The discretised mixture of logistics."""

from typing import ClassVar

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Size, Tensor
from torch.distributions import Distribution, Independent, constraints
from torch.nn.functional import logsigmoid, softplus

from vae_exp.likelihood.base import Likelihood, check_support
from vae_exp.likelihood.levels import LEVELS, levels

HALF_LEVEL = 0.5 / (LEVELS - 1)


class DiscretisedLogistics(Distribution):
    """P(x) = Σ πᵢ [σ((x + h − μᵢ)/sᵢ) − σ((x − h − μᵢ)/sᵢ)], h = ½/255 (Salimans et al. 2017, arXiv 1701.05517, eq. 2).

    It is a mixture of K logistic distributions, rounded to the 256 levels. What lies below 0 belongs to level 0, and
    what lies above 1 to level 255: x − h is −∞ there, and x + h is ∞. A component's K is the first axis of its pixel.

    Args:
        logits: log πᵢ up to a constant, (…, K, C, H, W).
        loc: μᵢ, of the same shape.
        scale: sᵢ > 0, of the same shape.
    """

    arg_constraints: ClassVar = {
        "logits": constraints.real,
        "loc": constraints.real,
        "scale": constraints.positive,
    }
    support = levels

    def __init__(self, logits: Tensor, loc: Tensor, scale: Tensor, validate_args: bool | None = None) -> None:
        self.logits, self.loc, self.scale = logits, loc, scale
        super().__init__(logits[..., 0, :, :, :].shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        """The mean before rounding, E[min(max(ν, 0), 1)]; at most half a level, 1/510, from E[x].

        It is Σ πᵢ ∫₀¹ σ((μᵢ − t)/sᵢ) dt. E[x] replaces the integral by the sum over 255 midpoints.
        """
        clipped = self.scale * (softplus(self.loc / self.scale) - softplus((self.loc - 1) / self.scale))
        return (self.logits.softmax(-4) * clipped).sum(-4)

    def log_prob(self, value: Tensor) -> Tensor:
        """Compute log P(x), in nats per pixel.

        With a > b, σ(a) − σ(b) = σ(a)·σ(−b)·(1 − exp(b − a)), and no factor loses digits.

        Raises:
            ValueError: A value is not one of the 256 levels.
        """
        check_support(self, value)
        x = value.unsqueeze(-4)
        above = torch.where(x > 1 - HALF_LEVEL, 0.0, logsigmoid((x + HALF_LEVEL - self.loc) / self.scale))
        below = torch.where(x < HALF_LEVEL, 0.0, logsigmoid((self.loc - x + HALF_LEVEL) / self.scale))
        width = torch.log(-torch.expm1(-2 * HALF_LEVEL / self.scale))
        edge = (x < HALF_LEVEL) | (x > 1 - HALF_LEVEL)
        components = above + below + torch.where(edge, 0.0, width)
        log_prob: Tensor = torch.logsumexp(self.logits.log_softmax(-4) + components, -4)
        return log_prob

    def sample(self, sample_shape: Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Draw x, (*sample_shape, …): a component, a logistic number, and its level."""
        with torch.no_grad():
            shape = (*sample_shape, *self.logits.shape)
            smallest = torch.finfo(self.logits.dtype).tiny
            uniform = torch.rand((2, *shape), dtype=self.logits.dtype, device=self.logits.device).clamp(min=smallest)
            # the largest of logits with Gumbel noise is a draw from their softmax
            chosen = (self.logits - (-uniform[0].log()).log()).argmax(-4, keepdim=True)
            logistic = uniform[1].clamp(max=1 - torch.finfo(self.logits.dtype).eps).logit()
            x = (self.loc + self.scale * logistic).gather(-4, chosen).squeeze(-4)
            return (255 * x.clamp(0, 1)).round() / 255


class LogisticMixture(Likelihood):
    """A mixture of K logistic distributions per pixel and channel, rounded to 256 levels (arXiv 1701.05517, eq. 2).

    A level has a probability, so log P(x|z) ≤ 0, and the bound is that of a code of the pixels. Channels of a pixel are
    independent given z, each with a mixture of its own: the paper's coupling, in which the means of green and blue
    depend on red, is left out.

    The features of a component are log πᵢ, the shift of its mean, and the logarithm of its scale:
    μᵢ = (i − ½)/K + f and sᵢ = exp(g)/2K + `min_scale`. With all features 0 the components share [0, 1] evenly, and
    no two are equal, for equal ones would stay equal.

    Args:
        components: K. There are 3·K features per pixel.
        min_scale: The least scale. No gradient is zero at it. Half a level is 0.002.
    """

    support = "levels"

    def __init__(self, components: PositiveInt = 5, min_scale: PositiveFloat = 0.0005) -> None:
        super().__init__()
        self.components = components
        self.parameters_per_pixel = 3 * components
        self.min_scale = min_scale

    def forward(self, features: Tensor) -> Distribution:
        """Map features (…, 3·K·C, H, W) to P(x|z), batch shape (…) and event shape (C, H, W)."""
        k = self.components
        logits, shift, log_scale = features.unflatten(-3, (3, k, -1)).unbind(-5)
        centres = (torch.arange(k, dtype=features.dtype, device=features.device) + 0.5) / k
        scale = log_scale.exp() / (2 * k) + self.min_scale
        return Independent(DiscretisedLogistics(logits, centres.view(k, 1, 1, 1) + shift, scale), 3)

    def diagnostics(self, p: Distribution) -> dict[str, float]:
        """Return no numbers: this likelihood is bounded."""
        return {}
