"""Convolutional networks."""

import math
from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from annotated_types import MinLen
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn

from vae_exp.errors import ConfigError
from vae_exp.network.base import (
    ACTIVATIONS,
    Activation,
    Decoder,
    Encoder,
    Network,
    Shape,
    check_size,
    initialise,
    squared_jacobian_change_by_autograd,
    squared_jacobian_norm_by_autograd,
)
from vae_exp.network.linear import Linear, affine_in_context

KERNEL_SIZE = 3


class Conv(Network):
    """3×3 convolutions and a dense layer, mirrored by transposed convolutions (Chollet 2017, from listing 8.23).

    There is no batch normalisation: an image's features, and so its Jacobian, would then depend on the whole batch.

    Args:
        channels: Output channels of each convolution.
        strides: Stride of each convolution.
        hidden_size: Units of the dense layer between the convolutions and the code.
        decoder: `mirror`: dense layers and one transposed convolution for every convolution of the encoder.
            `upsampling`: one dense layer, and transposed convolutions only to undo a stride, as in the book.
        activation: The activation after every layer except the last.
        init_std: Weights ~ N(0, init_std²) and zero biases; None keeps PyTorch's default.
    """

    def __init__(
        self,
        channels: Annotated[list[PositiveInt], MinLen(1)] = [32, 64, 64, 64],  # noqa: B006 (never changed)
        strides: list[PositiveInt] = [1, 2, 1, 1],  # noqa: B006 (never changed)
        hidden_size: PositiveInt = 32,
        decoder: Literal["mirror", "upsampling"] = "mirror",
        activation: Activation = "relu",
        init_std: PositiveFloat | None = None,
    ) -> None:
        if len(channels) != len(strides):
            raise ConfigError(
                f"network.strides={strides}: one stride per convolution; network.channels has {len(channels)}"
            )
        self.channels = list(channels)
        self.strides = list(strides)
        self.hidden_size = hidden_size
        self.mirror = decoder == "mirror"
        self.activation = activation
        self.init_std = init_std

    def encoder(self, shape: Shape, context: int, out_features: int, activation: Activation = "identity") -> Encoder:
        """Build convolutions, a dense layer that also takes the context, and a layer to `out_features`."""
        sizes = self._sizes(shape)
        layers: list[nn.Module] = []
        for i, (channels, stride) in enumerate(zip(self.channels, self.strides, strict=True)):
            layers += [nn.Conv2d(sizes[i][0], channels, KERNEL_SIZE, stride, padding=1), self._nonlinearity()]
        dense = nn.Sequential(
            Linear(math.prod(sizes[-1]) + context, self.hidden_size),
            self._nonlinearity(),
            Linear(self.hidden_size, out_features),
            ACTIVATIONS[activation](),
        )
        encoder = ConvEncoder(nn.Sequential(*layers), dense)
        initialise(encoder, self.init_std)
        return encoder

    def decoder(self, in_features: int, shape: Shape, encoder: Encoder | None = None) -> Decoder:
        """Build dense layers, transposed convolutions back through the encoder's sizes, a convolution to `shape`."""
        sizes = self._sizes(shape)
        layers = self._dense_start(in_features, sizes[-1])
        channels = sizes[-1][0]
        for (out_channels, *size), stride, (_, *from_size) in reversed(
            list(zip(sizes[1:-1], self.strides[1:], sizes[2:], strict=True))
        ):
            if self.mirror or stride > 1:
                layers += [transposed(channels, out_channels, stride, from_size, size), self._nonlinearity()]
                channels = out_channels
        if self.strides[0] > 1:
            layers += [transposed(channels, channels, self.strides[0], sizes[1][1:], shape[1:]), self._nonlinearity()]
        layers.append(nn.Conv2d(channels, shape[0], KERNEL_SIZE, padding=1))
        decoder = ConvDecoder(nn.Sequential(*layers))
        initialise(decoder, self.init_std)
        return decoder

    def _sizes(self, shape: Shape) -> list[Shape]:
        """Compute the image's shape and the shape after each convolution."""
        check_size("conv", shape, KERNEL_SIZE)
        sizes = [shape]
        for channels, stride in zip(self.channels, self.strides, strict=True):
            _, height, width = sizes[-1]
            sizes.append((channels, math.ceil(height / stride), math.ceil(width / stride)))
        return sizes

    def _dense_start(self, in_features: int, shape: Shape) -> list[nn.Module]:
        layers: list[nn.Module] = []
        if self.mirror:
            layers += [Linear(in_features, self.hidden_size), self._nonlinearity()]
            in_features = self.hidden_size
        return [*layers, Linear(in_features, math.prod(shape)), self._nonlinearity(), ToImages(shape)]

    def _nonlinearity(self) -> nn.Module:
        return ACTIVATIONS[self.activation]()


def transposed(
    in_channels: int, out_channels: int, stride: int, from_size: Sequence[int], to_size: Sequence[int]
) -> nn.Module:
    """Build the transposed 3×3 convolution that undoes a stride exactly, for odd sizes too."""
    # a transposed convolution with padding 1 gives (n − 1)·stride + 1 pixels; output_padding adds the missing ones
    missing = tuple(to - (n - 1) * stride - 1 for n, to in zip(from_size, to_size, strict=True))
    return nn.ConvTranspose2d(in_channels, out_channels, KERNEL_SIZE, stride, padding=1, output_padding=missing)  # type: ignore[arg-type]


def channels_last(x: Tensor) -> Tensor:
    """Return images (B, C, H, W) that, on a CPU, have the channels of each pixel side by side in memory.

    All later layers keep this order. Convolutions, GroupNorm and their derivatives are faster in it.
    """
    return x.contiguous(memory_format=torch.channels_last) if x.device.type == "cpu" else x


class ToImages(nn.Module):
    """Arranges features (B, C·H·W) as images (B, C, H, W).

    Args:
        shape: (C, H, W).
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, C·H·W) to (B, C, H, W)."""
        return channels_last(features.unflatten(1, self.shape))


class ConvEncoder(Encoder):
    """Convolutions of the image, then dense layers on their output and the label context.

    Args:
        convolutions: Map (B, C, H, W) to (B, C', H', W').
        dense: Map (B, C'·H'·W' + context) to (B, out_features).
    """

    def __init__(self, convolutions: nn.Sequential, dense: nn.Sequential) -> None:
        super().__init__()
        self.convolutions = convolutions
        self.dense = dense

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        """Compute the features, (B, out_features) or (K·B, out_features)."""
        first, *others = self.dense
        h = affine_in_context(first, self.convolutions(channels_last(x)).flatten(1), c)
        for layer in others:
            h = layer(h)
        return h

    def squared_jacobian_norm(self, x: Tensor, c: Tensor) -> Tensor:
        """Compute ‖∂f(x)/∂x‖²_F of each image, (B,), by autograd."""
        return squared_jacobian_norm_by_autograd(lambda images: self(images, c), x)

    def squared_jacobian_change(self, x: Tensor, near: Tensor, c: Tensor) -> Tensor:
        """Compute ‖J(x) − J(x̃)‖²_F, (S, B), for neighbours x̃ (S, B, C, H, W), by autograd."""
        return squared_jacobian_change_by_autograd(lambda images: self(images, c), x, near)

    def filters(self) -> Tensor:
        """Return the kernels of the first convolution, (N, C, 3, 3)."""
        weight: Tensor = self.convolutions[0].weight  # type: ignore[assignment]
        return weight


class ConvDecoder(Decoder):
    """Dense layers and transposed convolutions. The output has no activation: the likelihood interprets it.

    Args:
        layers: Map (B, in_features) to (B, C, H, W).
    """

    def __init__(self, layers: nn.Sequential) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, z: Tensor) -> Tensor:
        """Compute the feature maps (B, C, H, W)."""
        features: Tensor = self.layers(z)
        return features
