"""Neural spline flows as posteriors, by zuko."""

from functools import partial

import torch
from pydantic import PositiveInt
from torch import Tensor

from vae_exp.posterior.autoregressive import CouplingStep, transforms_in_turns
from vae_exp.posterior.base import HasDensity, PosteriorFamily
from vae_exp.posterior.pushforward import InvertibleStep, Pushforward
from vae_exp.prior.base import Transforms
from vae_exp.prior.normal import DiagonalNormal
from vae_exp.prior.zuko_layers import MonotonicRQSTransform


class ScaledStep(InvertibleStep):
    """f(z) = μ + σz.

    Args:
        loc: μ, (B, D).
        log_variance: log σ², (B, D).
    """

    def __init__(self, loc: Tensor, log_variance: Tensor) -> None:
        self.loc, self.log_std = loc, 0.5 * log_variance

    def __call__(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Compute μ + σz, (…, B, D), and Σ log σ, (…, B)."""
        return self.loc + z * self.log_std.exp(), self.log_std.sum(-1).expand(z.shape[:-1])

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Compute (z − μ)/σ, (…, B, D), and Σ log σ, (…, B)."""
        before = (z - self.loc) * torch.exp(-self.log_std)
        return before, self.log_std.sum(-1).expand(before.shape[:-1])


class Spline(PosteriorFamily, HasDensity):
    """z = μ(x) + σ(x) f(ε; c(x)), ε ~ N(0, I), with coupling layers f of splines (arXiv 1906.04032, sections 3.1, 3.2).

    A layer maps every second latent by a monotonic rational-quadratic spline on [−5, 5], whose knots are a function of
    the other latents and of features c of the image. At first, f is nearly the identity. The features are μ, log σ² and
    c. The density is known at any z, but KL(q‖p) has no closed form, and is estimated from draws.

    Args:
        latent_dim: Size of z.
        transforms: Number of layers.
        hidden_sizes: Sizes of the hidden layers of the network in each layer.
        context: Size of c.
        bins: Number of pieces of each spline.
    """

    def __init__(
        self,
        latent_dim: int,
        transforms: Transforms = 2,
        hidden_sizes: list[PositiveInt] | None = None,
        context: PositiveInt = 32,
        bins: PositiveInt = 8,
    ) -> None:
        super().__init__()
        self._sizes = [latent_dim, latent_dim, context]
        self.features = sum(self._sizes)
        self.steps = transforms_in_turns(
            transforms,
            latent_dim,
            context,
            hidden_sizes,
            passes=2,
            univariate=partial(MonotonicRQSTransform, slope=1e-3),
            shapes=[(bins,), (bins,), (bins - 1,)],
        )

    def forward(self, features: Tensor) -> Pushforward:
        """Map features (B, 2·latent_dim + context) to q(z|x)."""
        loc, log_variance, context = features.split(self._sizes, -1)
        zeros = torch.zeros_like(loc)
        steps = [CouplingStep(f, context) for f in self.steps]
        return Pushforward(DiagonalNormal(zeros, zeros), [*steps, ScaledStep(loc, log_variance)])
