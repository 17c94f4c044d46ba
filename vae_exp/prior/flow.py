"""Normalising flows as priors, by zuko."""

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from pydantic import PositiveInt
from torch import Size, Tensor, nn
from torch.distributions import Distribution, constraints

from vae_exp.likelihood import check_support
from vae_exp.network import Shape as ImageShape
from vae_exp.prior.base import Encode, Prior, Shape, Transforms
from vae_exp.prior.normal import DiagonalNormal
from vae_exp.prior.zuko_layers import MAF, NSF, RealNVP, begin_near_identity, with_hidden

Kind = Literal["maf", "nsf", "realnvp"]
KINDS = {"maf": MAF, "nsf": NSF, "realnvp": RealNVP}


class Flow(Prior):
    """p(z) = N(f(z); 0, I) |det ∂f/∂z| with a learned invertible f, in layers of three kinds.

    - `maf`: masked autoregressive, f_i = (z_i scaled and shifted by functions of z_<i) (arXiv 1705.07057). A draw takes
      latent_dim passes;
    - `nsf`: the same with monotonic rational-quadratic splines on [−5, 5] (arXiv 1906.04032);
    - `realnvp`: affine coupling layers, of which each changes every second latent (arXiv 1605.08803).

    At first, f is nearly the identity, and p(z) nearly N(0, I).

    KL(q‖p) has no closed form, and is estimated from draws (Chen et al. 2017, arXiv 1611.02731, has such a prior).

    Args:
        latent_dim: Size of z.
        shape: (C, H, W) of an image.
        kind: The kind of layer.
        transforms: Number of layers.
        hidden_sizes: Sizes of the hidden layers of the network in each layer.
    """

    zeros: Tensor

    def __init__(
        self,
        latent_dim: int,
        shape: ImageShape,
        kind: Kind = "maf",
        transforms: Transforms = 4,
        hidden_sizes: list[PositiveInt] | None = None,
    ) -> None:
        super().__init__()
        flow: Any = with_hidden(partial(KINDS[kind], latent_dim, transforms=transforms), hidden_sizes or [64, 64])
        self.layers = nn.ModuleList(map(begin_near_identity, flow.transform.transforms))
        self.register_buffer("zeros", torch.zeros(latent_dim), persistent=False)

    def forward(self, encode: Encode) -> "OfFlow":
        """Return the flow, event (latent_dim,)."""
        return OfFlow([layer() for layer in self.layers], DiagonalNormal(self.zeros, self.zeros))


class OfFlow(Distribution):
    """p(z) = N(f(z); 0, I) |det ∂f/∂z|, f = f_T ∘ … ∘ f_1: batch shape (), event (D,). Any float can be its value.

    Args:
        layers: f_1, …, f_T, transforms of zuko.
        base: N(0, I).
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}
    support = constraints.real_vector

    def __init__(self, layers: Sequence[Any], base: DiagonalNormal) -> None:
        self.layers, self.base = layers, base
        super().__init__(base.batch_shape, base.event_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """Compute log p(z), (…), of latents (…, D)."""
        check_support(self, value)
        z, log_det = value.to(self.base.loc.dtype), torch.zeros((), device=value.device)
        for layer in self.layers:
            z, log_det_of_layer = layer.call_and_ladj(z)
            log_det = log_det + log_det_of_layer
        return self.base.log_prob(z) + log_det

    @torch.no_grad()
    def sample(self, sample_shape: Shape = ()) -> Tensor:
        """Draw z = f⁻¹(ε), (*sample_shape, D)."""
        z = self.base.sample(Size(sample_shape))
        for layer in reversed(self.layers):
            z = layer.inv(z)
        return z
