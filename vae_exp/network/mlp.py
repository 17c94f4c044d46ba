"""Multilayer perceptrons."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn

from vae_exp.network.base import (
    ACTIVATIONS,
    Activation,
    Decoder,
    Encoder,
    Network,
    Shape,
    initialise,
    joined,
    squared_jacobian_norm_by_autograd,
)
from vae_exp.network.linear import Linear

# s'(a) as a function of h = s(a)
DERIVATIVES: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": torch.ones_like,
    "sigmoid": lambda h: h * (1 - h),
    "tanh": lambda h: 1 - h.square(),
}


class MLP(Network):
    """Fully connected layers, the decoder's sizes those of the encoder reversed.

    Args:
        hidden_sizes: Units of the encoder's hidden layers; any number of them, also none.
        activation: After every hidden layer.
        init_std: Weights ~ N(0, init_std²) and zero biases; None for the framework's default.
    """

    def __init__(
        self,
        hidden_sizes: list[PositiveInt] = [500],  # noqa: B006 (never changed)
        activation: Activation = "tanh",
        init_std: PositiveFloat | None = 0.01,
    ) -> None:
        self.hidden_sizes = list(hidden_sizes)
        self.activation = activation
        self.init_std = init_std

    def encoder(self, shape: Shape, context: int, out_features: int, activation: Activation = "identity") -> Encoder:
        """Image and context, concatenated, through the hidden layers to `out_features`."""
        sizes = [math.prod(shape) + context, *self.hidden_sizes, out_features]
        encoder = MLPEncoder(shape, sizes, [self.activation] * len(self.hidden_sizes) + [activation])
        initialise(encoder, self.init_std)
        return encoder

    def decoder(self, in_features: int, shape: Shape) -> Decoder:
        """Latents through the reversed hidden layers to feature maps of `shape`."""
        sizes = [in_features, *reversed(self.hidden_sizes), math.prod(shape)]
        decoder = MLPDecoder(shape, sizes, self.activation)
        initialise(decoder, self.init_std)
        return decoder


class MLPEncoder(Encoder):
    """f(x, c) = s_n(W_n … s_1(W_1 [x, c] + b_1) … + b_n).

    Args:
        shape: Of an image.
        sizes: Input units, hidden units, output units.
        activations: One per layer.
    """

    def __init__(self, shape: Shape, sizes: Sequence[int], activations: Sequence[Activation]) -> None:
        super().__init__()
        self.shape = shape
        self.activations = list(activations)
        self.linears = nn.ModuleList(Linear(m, n) for m, n in pairwise(sizes))
        self.nonlinearities = nn.ModuleList(ACTIVATIONS[name]() for name in activations)

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        """The features (B, out_features)."""
        h = joined(x.flatten(1), c)
        for linear, nonlinearity in zip(self.linears, self.nonlinearities, strict=True):
            h = nonlinearity(linear(h))
        return h

    def squared_jacobian_norm(self, x: Tensor, c: Tensor) -> Tensor:
        """‖∂f(x)/∂x‖²_F of each image, (B,): closed form for one sigmoid or tanh layer, else by autograd.

        The one layer may be the code itself (Rifai et al. 2011, eq. 5: Σ_j s'_j² ‖W_j‖²), or hidden under a
        linear code V: ‖V diag(s') W‖²_F = s'ᵀ (VᵀV ∘ WWᵀ) s'.
        """
        if len(self.linears) == 1 and self.activations[0] in DERIVATIVES:
            slope = DERIVATIVES[self.activations[0]](self(x, c))
            return slope.square() @ self._pixel_weights().square().sum(1)
        if len(self.linears) == 2 and self.activations[1] == "identity" and self.activations[0] in DERIVATIVES:
            hidden = self.nonlinearities[0](self.linears[0](joined(x.flatten(1), c)))
            slope = DERIVATIVES[self.activations[0]](hidden)
            W = self._pixel_weights()
            V: Tensor = self.linears[1].weight  # type: ignore[assignment]
            return ((slope @ ((V.T @ V) * (W @ W.T))) * slope).sum(1)
        return squared_jacobian_norm_by_autograd(lambda images: self(images, c), x)

    def filters(self) -> Tensor:
        """The first layer's weights as images (N, C, H, W)."""
        images: Tensor = self._pixel_weights().unflatten(1, self.shape)
        return images

    def _pixel_weights(self) -> Tensor:
        weight: Tensor = self.linears[0].weight  # type: ignore[assignment]
        return weight[:, : math.prod(self.shape)]


class MLPDecoder(Decoder):
    """Fully connected layers, linear at the end; the likelihood gives the features their meaning.

    Args:
        shape: Of the feature maps.
        sizes: Input units, hidden units, output units.
        activation: After every hidden layer.
    """

    def __init__(self, shape: Shape, sizes: Sequence[int], activation: Activation) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for m, n in pairwise(sizes):
            layers += [Linear(m, n), ACTIVATIONS[activation]()]
        self.layers = nn.Sequential(*layers[:-1], nn.Unflatten(1, shape))

    def forward(self, z: Tensor) -> Tensor:
        """The feature maps (B, C, H, W)."""
        features: Tensor = self.layers(z)
        return features
