"""The categorical likelihood of 256 levels."""

from typing import ClassVar

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, Independent, constraints

from vae_exp.likelihood.base import Likelihood, check_support
from vae_exp.likelihood.levels import LEVELS, index, levels


class CategoricalLevels(Distribution):
    """P(x = k/255) = exp(aₖ)/Σⱼ exp(aⱼ), j = 0, …, 255 (van den Oord et al. 2016, arXiv 1601.06759, section 2.2).

    Args:
        logits: aₖ, (…, 256, C, H, W).
    """

    arg_constraints: ClassVar = {"logits": constraints.real}
    support = levels

    def __init__(self, logits: Tensor, validate_args: bool | None = None) -> None:
        self.logits = logits
        super().__init__(logits[..., 0, :, :, :].shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        """E[x]."""
        pixels = torch.arange(LEVELS, dtype=self.logits.dtype, device=self.logits.device) / (LEVELS - 1)
        return (self.logits.softmax(-4) * pixels.view(-1, 1, 1, 1)).sum(-4)

    def log_prob(self, value: Tensor) -> Tensor:
        """Compute log P(x), in nats per pixel.

        Raises:
            ValueError: A value is not one of the 256 levels.
        """
        check_support(self, value)
        k = index(value).expand(torch.broadcast_shapes(value.shape, self.batch_shape)).unsqueeze(-4)
        log_total = self.logits.logsumexp(-4)
        chosen = self.logits.expand(*k.shape[:-4], *self.logits.shape[-4:]).gather(-4, k).squeeze(-4)
        return chosen - log_total

    def sample(self, sample_shape: Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Draw x, (*sample_shape, …)."""
        with torch.no_grad():
            drawn: Tensor = torch.distributions.Categorical(logits=self.logits.movedim(-4, -1)).sample(
                Size(sample_shape)
            )
            return drawn.to(self.logits.dtype) / (LEVELS - 1)


class Categorical(Likelihood):
    """A probability for each of the 256 levels of a pixel, of any shape (arXiv 1601.06759, section 2.2).

    The levels have no order: the model learns from the data that 17 and 18 are alike. The decoder has 256 features per
    pixel. The last layer of an MLP with 500 units then has 100 million weights for MNIST; use `network=conv`, or
    `likelihood=logistic_mixture`, which knows the order. A level has a probability, so log P(x|z) ≤ 0.
    """

    parameters_per_pixel = LEVELS
    support = "levels"

    def forward(self, features: Tensor) -> Distribution:
        """Map features (…, 256·C, H, W) to P(x|z), batch shape (…) and event shape (C, H, W)."""
        return Independent(CategoricalLevels(features.unflatten(-3, (LEVELS, -1))), 3)

    def diagnostics(self, p: Distribution) -> dict[str, float]:
        """Return no numbers: this likelihood is bounded."""
        return {}
