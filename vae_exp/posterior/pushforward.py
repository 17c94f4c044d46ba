"""Posteriors that are flows: a normal draw that goes through invertible steps."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor
from torch.distributions import Distribution, constraints

from vae_exp.likelihood import check_support
from vae_exp.prior.base import Reparameterised, Shape

PACE = 0.1
"""The factor of the features that planar and Sylvester steps are made of.

Adam and Adagrad move all weights, and so all features, about equally fast. But a step multiplies features with each
other, and a flow has many steps: without the factor z moves much faster than the mean of the base, and the flow learns
worse (docs/tables.md).
"""


class Step(ABC):
    """One invertible step z ↦ f(z) of a flow, with parameters for each image of a batch (B,)."""

    @abstractmethod
    def __call__(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Compute f(z), (…, B, D), and log |det ∂f/∂z|, (…, B), of latents z (…, B, D)."""


class InvertibleStep(Step):
    """A step whose inverse is computed too."""

    @abstractmethod
    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Compute f⁻¹(z), (…, B, D), and log |det ∂f/∂z| there, (…, B), of latents z (…, B, D)."""


class Pushforward(Reparameterised):
    """z = f_T ∘ … ∘ f_1(z₀), z₀ ~ q₀: batch (B,), event (D,) (arXiv 1505.05770, eqs. 5 to 7).

    log q(z) = log q₀(z₀) − Σ_t log |det ∂f_t/∂z_{t−1}|. At a draw, z₀ is known, so no inverse is computed.

    The code, `mean`, is f_T ∘ … ∘ f_1 at the mean of q₀. It is not the mean of z, which has no closed form.

    Args:
        base: q₀, batch (B,) and event (D,).
        steps: f_1, …, f_T.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}
    support = constraints.real_vector

    def __init__(self, base: Reparameterised, steps: Sequence[Step]) -> None:
        self.base, self.steps = base, steps
        super().__init__(base.batch_shape, base.event_shape)

    @property
    def mean(self) -> Tensor:
        """The flow at the mean of its base, (B, D)."""
        return self._push(self.base.mean)[0]

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        """Draw z, (*sample_shape, B, D)."""
        return self._push(self.base.rsample(sample_shape))[0]

    def rsample_and_log_prob(self, sample_shape: Shape = ()) -> tuple[Tensor, Tensor]:
        """Draw z, (*sample_shape, B, D), and compute log q(z), (*sample_shape, B)."""
        z, log_q = self.base.rsample_and_log_prob(sample_shape)
        z, log_det = self._push(z)
        return z, log_q - log_det

    def log_prob(self, value: Tensor) -> Tensor:
        """Compute log q(z), (…, B), at any z (…, B, D).

        Raises:
            NotImplementedError: A step has no inverse here: the density is known only at draws.
        """
        check_support(self, value)
        log_det: Tensor | float = 0.0
        for step in reversed(self.steps):
            if not isinstance(step, InvertibleStep):
                raise NotImplementedError(f"{type(step).__name__} has no inverse: log q(z) is known only at draws")
            value, log_det_of_step = step.inverse(value)
            log_det = log_det + log_det_of_step
        return self.base.log_prob(value) - log_det

    def closed_log_variance(self) -> None:
        """Return None: it is not known in closed form."""
        return

    def closed_kl(self, p: Distribution) -> None:
        """Return None: it is not known in closed form."""
        return

    @property
    def tractable(self) -> Reparameterised:
        """The distribution itself if every step has an inverse, otherwise the base."""
        return self if all(isinstance(step, InvertibleStep) for step in self.steps) else self.base

    def _push(self, z: Tensor) -> tuple[Tensor, Tensor]:
        log_det = z.new_zeros(z.shape[:-1])
        for step in self.steps:
            z, log_det_of_step = step(z)
            log_det = log_det + log_det_of_step
        return z, log_det
