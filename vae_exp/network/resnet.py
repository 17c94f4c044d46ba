"""Residual networks for images of any size."""

import math
from itertools import pairwise

from pydantic import PositiveInt
from torch import Tensor, nn

from vae_exp.errors import ConfigError
from vae_exp.network.base import ACTIVATIONS, Activation, Decoder, Encoder, Network, Shape, check_size
from vae_exp.network.conv import KERNEL_SIZE, ConvEncoder, ToImages
from vae_exp.network.linear import Linear

COARSEST = 4
"""The image is halved while its smaller side is above this number of pixels."""


class ResNet(Network):
    """Pre-activation residual blocks (He et al. 2016, arXiv 1603.05027) with GroupNorm (Wu and He 2018, 1803.08494).

    The encoder halves the image by strided convolutions until its smaller side has 3 or 4 pixels, so the depth follows
    from the image's size. Residual blocks follow each of these convolutions. The decoder goes back through exactly the
    same sizes. It enlarges by nearest neighbours followed by a convolution, which leaves no checkerboard pattern (Odena
    et al. 2016, distill.pub).

    The latents do not only start the decoder's images. Each normalisation of the decoder has a scale and a shift per
    channel that depend on them, as in adaptive GroupNorm (Dhariwal and Nichol 2021, arXiv 2105.05233). Otherwise the
    colour of a shape must pass, together with its place, through all stages. The decoder then learns place and form
    first and suppresses colour, the code no longer has a reason to hold it, and all shapes stay grey.

    Batch normalisation is not used, because an image's features, and so its Jacobian, would
    depend on the whole batch.

    Weights are drawn from N(0, 2/n) for n inputs and biases are zero (He et al. 2015, arXiv 1502.01852, eq. 10), so the
    signal keeps its size from layer to layer. With PyTorch's default, or with N(0, 0.01²), which suits one hidden
    layer, it shrinks at every stage, and the decoder does not learn to use the latents for many updates.

    Args:
        channels: Channels of the first stage. Each further stage doubles them.
        max_channels: The largest number of channels.
        blocks_per_stage: Residual blocks at each size of the image.
        groups: Number of groups in which GroupNorm normalises the channels; it divides `channels` and `max_channels`.
            A group of few channels loses an image's own brightness and colour, so the default is one group.
        hidden_size: Units of the dense layer between the last stage and the code.
        activation: The activation in the residual blocks, after the last stage and in the dense layers.

    Raises:
        ConfigError: The groups do not divide the channels, or `max_channels` is smaller than `channels`.
    """

    def __init__(
        self,
        channels: PositiveInt = 16,
        max_channels: PositiveInt = 128,
        blocks_per_stage: PositiveInt = 1,
        groups: PositiveInt = 1,
        hidden_size: PositiveInt = 128,
        activation: Activation = "silu",
    ) -> None:
        if max_channels < channels:
            raise ConfigError(
                f"network.max_channels={max_channels}: is not allowed: at least network.channels={channels}"
            )
        _check_groups(groups, channels, max_channels)
        self.channels = channels
        self.max_channels = max_channels
        self.blocks_per_stage = blocks_per_stage
        self.groups = groups
        self.hidden_size = hidden_size
        self.activation = activation

    def encoder(self, shape: Shape, context: int, out_features: int, activation: Activation = "identity") -> Encoder:
        """Build the stages, a dense layer that also takes the context, and a layer to `out_features`.

        Raises:
            ConfigError: The image is too small.
        """
        sizes = self._sizes(shape)
        layers: list[nn.Module] = []
        for (in_channels, *_), (channels, *_) in pairwise(sizes):
            halved = nn.Conv2d(in_channels, channels, KERNEL_SIZE, stride=2, padding=1)
            layers += [halved, *self._blocks(channels)]
        # Adagrad's first step changes every weight by the step size, whatever its gradient is. Without normalisation
        # the changes of thousands of inputs would add up, and the code's variance would overflow.
        dense = nn.Sequential(
            Linear(math.prod(sizes[-1]) + context, self.hidden_size),
            nn.LayerNorm(self.hidden_size),
            self._nonlinearity(),
            Linear(self.hidden_size, out_features),
            ACTIVATIONS[activation](),
        )
        encoder = ConvEncoder(nn.Sequential(*layers, *self._normalised(sizes[-1][0])), dense)
        _initialise(encoder)
        return encoder

    def decoder(self, in_features: int, shape: Shape, encoder: Encoder | None = None) -> Decoder:
        """Build dense layers, the stages back through the encoder's sizes, and a convolution to `shape`.

        Raises:
            ConfigError: The image is too small.
        """
        sizes = self._sizes(shape)
        style = [Linear(in_features, self.hidden_size), self._nonlinearity()]
        start = [
            Linear(in_features, self.hidden_size),
            self._nonlinearity(),
            Linear(self.hidden_size, math.prod(sizes[-1])),
            ToImages(sizes[-1]),
        ]
        stages: list[nn.Module] = []
        enlarged_sizes = [(self.channels, *shape[1:]), *sizes[1:]]
        for (out_channels, *size), (channels, *_) in reversed(list(pairwise(enlarged_sizes))):
            stages += [self._styled_block(channels) for _ in range(self.blocks_per_stage)]
            enlarged = nn.Conv2d(channels, out_channels, KERNEL_SIZE, padding=1)
            stages.append(Unstyled(nn.Sequential(nn.Upsample(size=tuple(size)), enlarged)))
        last = Unstyled(nn.Conv2d(self.channels, shape[0], KERNEL_SIZE, padding=1))
        layers = [*stages, self._styled_norm(self.channels), last]
        decoder = ResNetDecoder(nn.Sequential(*start), nn.Sequential(*style), nn.ModuleList(layers))
        _initialise(decoder)
        return decoder

    def _sizes(self, shape: Shape) -> list[Shape]:
        """Compute the image's shape and the shape after each stage."""
        check_size("resnet", shape, COARSEST + 1)
        channels, (_, height, width) = self.channels, shape
        sizes = [shape]
        while min(height, width) > COARSEST:
            height, width = math.ceil(height / 2), math.ceil(width / 2)
            sizes.append((channels, height, width))
            channels = min(2 * channels, self.max_channels)
        return sizes

    def _blocks(self, channels: int) -> list[nn.Module]:
        return [ResidualBlock(self._transform(channels)) for _ in range(self.blocks_per_stage)]

    def _transform(self, channels: int) -> nn.Sequential:
        """Build what a block adds to its input: normalisation, activation and convolution, twice."""
        return nn.Sequential(
            *self._normalised(channels),
            nn.Conv2d(channels, channels, KERNEL_SIZE, padding=1),
            *self._normalised(channels),
            nn.Conv2d(channels, channels, KERNEL_SIZE, padding=1),
        )

    def _normalised(self, channels: int) -> list[nn.Module]:
        return [nn.GroupNorm(self.groups, channels), self._nonlinearity()]

    def _styled_block(self, channels: int) -> nn.Module:
        return StyledBlock(
            self._styled_norm(channels),
            nn.Conv2d(channels, channels, KERNEL_SIZE, padding=1),
            self._styled_norm(channels),
            nn.Conv2d(channels, channels, KERNEL_SIZE, padding=1),
        )

    def _styled_norm(self, channels: int) -> "StyledNorm":
        style = Linear(self.hidden_size, 2 * channels)
        return StyledNorm(nn.GroupNorm(self.groups, channels), style, self._nonlinearity())

    def _nonlinearity(self) -> nn.Module:
        return ACTIVATIONS[self.activation]()


class ResidualBlock(nn.Module):
    """y = x + F(x): the identity and a transform that keeps the shape.

    Args:
        transform: F, maps (B, C, H, W) to (B, C, H, W).
    """

    def __init__(self, transform: nn.Module) -> None:
        super().__init__()
        self.transform = transform

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, H, W)."""
        y: Tensor = x + self.transform(x)
        return y


class StyledNorm(nn.Module):
    """h → activation((1 + a)·GroupNorm(h) + b), with a and b per channel, linear in the style w.

    Args:
        norm: Maps (B, C, H, W) to (B, C, H, W).
        scale_and_shift: Maps w (B, features) to a and b, (B, 2C).
        activation: The activation afterwards.
    """

    def __init__(self, norm: nn.GroupNorm, scale_and_shift: Linear, activation: nn.Module) -> None:
        super().__init__()
        self.norm = norm
        self.scale_and_shift = scale_and_shift
        self.activation = activation

    def forward(self, h: Tensor, w: Tensor) -> Tensor:
        """Map (B, C, H, W) and w (B, features) to (B, C, H, W)."""
        a, b = self.scale_and_shift(w)[:, :, None, None].chunk(2, 1)
        y: Tensor = self.activation((1 + a) * self.norm(h) + b)
        return y


class StyledBlock(nn.Module):
    """y = h + F(h, w): F normalises with the style w and convolves, twice.

    Args:
        layers: Normalisation, convolution, normalisation, convolution.
    """

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.first_norm, self.first, self.second_norm, self.second = layers

    def forward(self, h: Tensor, w: Tensor) -> Tensor:
        """Map (B, C, H, W) and w (B, features) to (B, C, H, W)."""
        y: Tensor = h + self.second(self.second_norm(self.first(self.first_norm(h, w)), w))
        return y


class Unstyled(nn.Module):
    """A layer among others that take a style. It does not depend on the style.

    Args:
        layer: Maps (B, C, H, W) to (B, C', H', W').
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, h: Tensor, w: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C', H', W')."""
        y: Tensor = self.layer(h)
        return y


class ResNetDecoder(Decoder):
    """Coarse images, then layers that all receive the same style. The output has no activation.

    Args:
        start: Maps latents (B, in_features) to the coarsest images (B, C', H', W').
        style: Maps latents (B, in_features) to the style w, (B, features).
        layers: Map images and w to images, the last one to (B, C, H, W).
    """

    def __init__(self, start: nn.Sequential, style: nn.Sequential, layers: nn.ModuleList) -> None:
        super().__init__()
        self.start = start
        self.style = style
        self.layers = layers

    def forward(self, z: Tensor) -> Tensor:
        """Compute the feature maps (B, C, H, W)."""
        h: Tensor = self.start(z)
        w = self.style(z)
        for layer in self.layers:
            h = layer(h, w)
        return h


def _initialise(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        if isinstance(module, StyledNorm):  # a and b of about 1: all channels that carry colour follow the latents
            nn.init.normal_(module.scale_and_shift.weight, 0, module.scale_and_shift.in_features**-0.5)


def _check_groups(groups: int, channels: int, max_channels: int) -> None:
    common = math.gcd(channels, max_channels)
    if common % groups:
        allowed = ", ".join(str(n) for n in range(1, common + 1) if common % n == 0)
        raise ConfigError(
            f"network.groups={groups}: must divide network.channels={channels} and "
            f"network.max_channels={max_channels}. Allowed: {allowed}"
        )
