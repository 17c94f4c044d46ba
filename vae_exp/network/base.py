"""The interface of network families: an encoder and a decoder that fit each other."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn

from vae_exp.errors import ConfigError
from vae_exp.network.linear import fast_linear

Shape = tuple[int, int, int]
"""Channels, height and width of an image."""

Activation = Literal["identity", "relu", "leaky_relu", "elu", "gelu", "silu", "softplus", "sigmoid", "tanh"]

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "identity": nn.Identity,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
}


class Encoder(nn.Module, ABC):
    """Maps images (B, C, H, W) and label context (B, context) to features (B, out_features).

    The context may have K rows for each image, (K·B, context). Row k·B + i of the context and of the features then
    belongs to image i.
    """

    @abstractmethod
    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        """Compute the features, (B, out_features) or (K·B, out_features)."""

    @abstractmethod
    def squared_jacobian_norm(self, x: Tensor, c: Tensor) -> Tensor:
        """Compute ‖∂f(x)/∂x‖²_F of each image, (B,), exactly. It is differentiable if gradients are enabled."""

    @abstractmethod
    def squared_jacobian_change(self, x: Tensor, near: Tensor, c: Tensor) -> Tensor:
        """Compute ‖J(x) − J(x̃)‖²_F, (S, B), J = ∂f/∂x, for images x (B, C, H, W) and neighbours x̃ (S, B, C, H, W)."""

    @abstractmethod
    def filters(self) -> Tensor:
        """Return the first layer's weights as images (N, C, h, w)."""


class Decoder(nn.Module, ABC):
    """Maps latents (B, in_features) to feature maps (B, C, H, W)."""

    @abstractmethod
    def forward(self, z: Tensor) -> Tensor:
        """Compute the feature maps (B, C, H, W)."""


class Network(ABC):
    """A family of networks: builds an encoder and its mirror image, the decoder."""

    @abstractmethod
    def encoder(self, shape: Shape, context: int, out_features: int, activation: Activation = "identity") -> Encoder:
        """Build an encoder of images of `shape` and `context` label features, with `activation` on its output."""

    @abstractmethod
    def decoder(self, in_features: int, shape: Shape, encoder: Encoder | None = None) -> Decoder:
        """Build a decoder to feature maps of `shape`.

        Args:
            in_features: Number of latents.
            shape: The shape of the feature maps.
            encoder: An encoder of this family whose output is the decoder's input. A family that ties weights ties the
                decoder's weights to those of this encoder.

        Raises:
            ConfigError: The weights should be tied, but there is no encoder, or it does not fit.
        """


def check_size(network: str, shape: Shape, smallest: int) -> None:
    """Check that an image has at least `smallest` × `smallest` pixels.

    Raises:
        ConfigError: It is smaller. The message names the size that the network needs.
    """
    _, height, width = shape
    if min(height, width) < smallest:
        raise ConfigError(
            f"network={network}: needs images of at least {smallest}×{smallest} pixels, and these have "
            f"{height}×{width} (height × width). network=mlp takes any size"
        )


def initialise(network: nn.Module, std: float | None) -> None:
    """Draw weights from N(0, std²) and set biases to zero; None keeps PyTorch's default.

    arXiv 1312.6114, section 5, draws them from N(0, 0.01). In the paper's notation N(μ, σ²), that is a std of 0.1.
    """
    if std is None:
        return
    for parameter in network.parameters():
        with torch.no_grad():
            parameter.normal_(0, std) if parameter.ndim > 1 else parameter.zero_()


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """In this context, compute gradients with respect to inputs only, not to the weights."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)


def squared_jacobian_norm_by_autograd(f: Callable[[Tensor], Tensor], x: Tensor, rows: int = 64) -> Tensor:
    """Compute ‖∂f(x)/∂x‖²_F of each image, (B,), by one backward pass per feature.

    Args:
        f: Maps images (B, C, H, W) to features (B, K); the features of an image may depend on that image only.
        x: The images.
        rows: How many rows of the Jacobian are in memory at a time.
    """
    with fast_linear(False):  # vmap does not work on its operation
        z, pullback = torch.func.vjp(f, x)[:2]
        norm: Tensor = z.new_zeros(len(z))
        for units in torch.eye(z.shape[1], dtype=z.dtype, device=z.device).split(rows):
            (gradients,) = torch.vmap(pullback)(units[:, None, :].expand(-1, *z.shape))
            norm = norm + gradients.square().sum((0, 2, 3, 4))
    return norm


def squared_jacobian_change_by_autograd(f: Callable[[Tensor], Tensor], x: Tensor, near: Tensor) -> Tensor:
    """Compute ‖J(x) − J(x̃)‖²_F, J = ∂f/∂x: J(x) − J(x + ε) is the Jacobian of f(x) − f(x + ε).

    Args:
        f: Maps images (B, C, H, W) to features (B, K); the features of an image may depend on that image only.
        x: The images.
        near: The neighbours x̃ = x + ε of the images, (S, B, C, H, W).

    Returns:
        One value per neighbour, (S, B).
    """

    def change(neighbours: Tensor) -> Tensor:
        shift = neighbours - x
        return squared_jacobian_norm_by_autograd(lambda images: f(images) - f(images + shift), x)

    return torch.stack([change(neighbours) for neighbours in near])
