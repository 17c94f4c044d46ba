"""The Bernoulli likelihood."""

from torch import Tensor, distributions
from torch.distributions import Distribution, Independent, constraints

from vae_exp.likelihood.base import Likelihood


class GreyBernoulli(distributions.Bernoulli):
    """log p(x) = Σ x·log π + (1−x)·log(1−π), also for grey x in [0, 1] (arXiv 1312.6114, appendix C.1).

    For grey x this is a cross-entropy, not a normalised density. It is the mean of log p(b) over binary images b drawn
    with probabilities x, and at most −Σ H(x). `log_prob` raises ValueError if x lies outside [0, 1].
    """

    support = constraints.unit_interval  # type: ignore[assignment]


class Bernoulli(Likelihood):
    """Bernoulli with π = sigmoid(features), for binary images or grey probabilities (arXiv 1312.6114, eq. 11)."""

    parameters_per_pixel = 1
    binary = True

    def forward(self, features: Tensor) -> Distribution:
        """Map features (…, C, H, W) to p(x|z), batch shape (…) and event shape (C, H, W)."""
        return Independent(GreyBernoulli(logits=features), 3)

    def diagnostics(self, p: Distribution) -> dict[str, float]:
        """Return no numbers: this likelihood is bounded."""
        return {}
