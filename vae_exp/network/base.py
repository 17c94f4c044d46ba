"""What every network family promises: an encoder and a decoder that fit each other."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn

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
    """Images (B, C, H, W) and label context (B, context) to features (B, out_features).

    The context may have K rows for each image, (K·B, context): row k·B + i of it and of the features is of image i.
    """

    @abstractmethod
    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        """The features (B, out_features), or (K·B, out_features)."""

    @abstractmethod
    def squared_jacobian_norm(self, x: Tensor, c: Tensor) -> Tensor:
        """‖∂f(x)/∂x‖²_F of each image, (B,), exactly; differentiable where gradients are enabled."""

    @abstractmethod
    def squared_jacobian_change(self, x: Tensor, near: Tensor, c: Tensor) -> Tensor:
        """‖J(x) − J(x̃)‖²_F, J = ∂f/∂x, for images x (B, C, H, W) and their neighbours x̃ (S, B, C, H, W): (S, B)."""

    @abstractmethod
    def filters(self) -> Tensor:
        """The first layer's weights as images (N, C, h, w)."""


class Decoder(nn.Module, ABC):
    """Latents (B, in_features) to feature maps (B, C, H, W)."""

    @abstractmethod
    def forward(self, z: Tensor) -> Tensor:
        """The feature maps (B, C, H, W) of the shape asked for."""


class Network(ABC):
    """A family of networks: the factory of an encoder and of its mirror, the decoder."""

    @abstractmethod
    def encoder(self, shape: Shape, context: int, out_features: int, activation: Activation = "identity") -> Encoder:
        """An encoder of images of `shape` beside `context` label features, its output through `activation`."""

    @abstractmethod
    def decoder(self, in_features: int, shape: Shape, encoder: Encoder | None = None) -> Decoder:
        """A decoder to feature maps of `shape`.

        Args:
            in_features: Size of what it decodes.
            shape: Of the feature maps.
            encoder: Of this family, where what it gives is what the decoder takes: a family that ties weights ties
                the decoder's to this one's.

        Raises:
            ConfigError: The weights are to be tied, and there is no encoder that fits.
        """


def initialise(network: nn.Module, std: float | None) -> None:
    """Weights ~ N(0, std²) and zero biases; None keeps the framework's default.

    arXiv 1312.6114, section 5, draws them from N(0, 0.01): in its own notation N(μ, σ²) that is a std of 0.1.
    """
    if std is None:
        return
    for parameter in network.parameters():
        with torch.no_grad():
            parameter.normal_(0, std) if parameter.ndim > 1 else parameter.zero_()


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Inside, no gradient with respect to the weights is computed beside that with respect to an input."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)


def squared_jacobian_norm_by_autograd(f: Callable[[Tensor], Tensor], x: Tensor, rows: int = 64) -> Tensor:
    """‖∂f(x)/∂x‖²_F of each image, (B,), for any f that treats images one by one: one backward pass per output.

    Args:
        f: Images (B, C, H, W) to features (B, K).
        x: The images.
        rows: How many rows of the Jacobian are in memory at once.
    """
    with fast_linear(False):  # which cannot be mapped over
        z, pullback = torch.func.vjp(f, x)[:2]
        norm: Tensor = z.new_zeros(len(z))
        for some in torch.eye(z.shape[1], dtype=z.dtype, device=z.device).split(rows):
            (gradients,) = torch.vmap(pullback)(some[:, None, :].expand(-1, *z.shape))
            norm = norm + gradients.square().sum((0, 2, 3, 4))
    return norm


def squared_jacobian_change_by_autograd(f: Callable[[Tensor], Tensor], x: Tensor, near: Tensor) -> Tensor:
    """‖J(x) − J(x̃)‖²_F, J = ∂f/∂x, for any f that treats images one by one: J(x) − J(x + ε) is that of f(x) − f(x + ε).

    Args:
        f: Images (B, C, H, W) to features (B, K).
        x: The images.
        near: Their neighbours x̃ = x + ε, (S, B, C, H, W).

    Returns:
        One value per neighbour, (S, B).
    """

    def change(some: Tensor) -> Tensor:
        shift = some - x
        return squared_jacobian_norm_by_autograd(lambda images: f(images) - f(images + shift), x)

    return torch.stack([change(some) for some in near])
