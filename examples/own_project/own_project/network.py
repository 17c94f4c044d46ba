"""A network family: one hidden layer with layer normalisation."""

import math

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from vae_exp.network import Decoder, Encoder, Network, Shape
from vae_exp.network.base import (
    ACTIVATIONS,
    Activation,
    squared_jacobian_change_by_autograd,
    squared_jacobian_norm_by_autograd,
)


class LayerNormMLP(Network):
    """One hidden layer of GELU units with layer normalisation (Ba et al. 2016), each way.

    Args:
        width: Units of the hidden layer.
    """

    def __init__(self, width: PositiveInt = 64) -> None:
        self.width = width

    def encoder(self, shape: Shape, context: int, out_features: int, activation: Activation = "identity") -> Encoder:
        """Build an encoder of images of `shape` and `context` label features."""
        return LayerNormEncoder(shape, context, self.width, out_features, activation)

    def decoder(self, in_features: int, shape: Shape, encoder: Encoder | None = None) -> Decoder:
        """Build a decoder from `in_features` latents to feature maps of `shape`."""
        return LayerNormDecoder(in_features, self.width, shape)


class LayerNormEncoder(Encoder):
    """Maps images (B, C, H, W) and label context (B, context) to features (B, out_features)."""

    def __init__(self, shape: Shape, context: int, width: int, out_features: int, activation: Activation) -> None:
        super().__init__()
        self.shape = shape
        self.first = nn.Linear(math.prod(shape) + context, width)
        self.others = nn.Sequential(
            nn.LayerNorm(width), nn.GELU(), nn.Linear(width, out_features), ACTIVATIONS[activation]()
        )

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        """Compute the features, (B, out_features); (K·B, out_features) if the context has K rows for each image."""
        pixels = x.flatten(1).repeat(len(c) // len(x), 1)
        features: Tensor = self.others(self.first(torch.cat([pixels, c], 1)))
        return features

    def squared_jacobian_norm(self, x: Tensor, c: Tensor) -> Tensor:
        """Compute ‖∂f(x)/∂x‖²_F of each image, (B,)."""
        return squared_jacobian_norm_by_autograd(lambda images: self(images, c), x)

    def squared_jacobian_change(self, x: Tensor, near: Tensor, c: Tensor) -> Tensor:
        """Compute ‖J(x) − J(x̃)‖²_F, (S, B), for neighbours x̃ (S, B, C, H, W)."""
        return squared_jacobian_change_by_autograd(lambda images: self(images, c), x, near)

    def filters(self) -> Tensor:
        """Return the first layer's weights as images (N, C, H, W)."""
        images: Tensor = self.first.weight[:, : math.prod(self.shape)].unflatten(1, self.shape)
        return images


class LayerNormDecoder(Decoder):
    """Maps latents (B, in_features) to feature maps (B, C, H, W). The likelihood interprets them."""

    def __init__(self, in_features: int, width: int, shape: Shape) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(in_features, width),
            nn.LayerNorm(width),
            nn.GELU(),
            nn.Linear(width, math.prod(shape)),
            nn.Unflatten(1, shape),
        )

    def forward(self, z: Tensor) -> Tensor:
        """Compute the feature maps (B, C, H, W)."""
        features: Tensor = self.layers(z)
        return features
