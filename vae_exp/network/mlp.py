"""Multilayer perceptrons."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
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
    initialise,
    squared_jacobian_change_by_autograd,
    squared_jacobian_norm_by_autograd,
)
from vae_exp.network.linear import Linear, TransposedLinear, affine_in_context

# s'(a) as a function of h = s(a)
DERIVATIVES: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": torch.ones_like,
    "sigmoid": lambda h: h * (1 - h),
    "tanh": lambda h: 1 - h.square(),
}


class MLP(Network):
    """Fully connected layers. The decoder has the encoder's layer sizes in reverse order.

    Args:
        hidden_sizes: Units of each hidden layer of the encoder; the list may be empty.
        activation: The activation after every hidden layer.
        init_std: Weights ~ N(0, init_std²) and zero biases; None keeps PyTorch's default.
        tied: The decoder uses the encoder's weights, transposed, with its own biases. Only for an architecture in
            which the encoder's output is the decoder's input.
    """

    def __init__(
        self,
        hidden_sizes: list[PositiveInt] = [500],  # noqa: B006 (never changed)
        activation: Activation = "tanh",
        init_std: PositiveFloat | None = 0.01,
        tied: bool = False,
    ) -> None:
        self.hidden_sizes = list(hidden_sizes)
        self.activation = activation
        self.init_std = init_std
        self.tied = tied

    def encoder(self, shape: Shape, context: int, out_features: int, activation: Activation = "identity") -> Encoder:
        """Build an encoder of the concatenated image and context: the hidden layers, then a layer to `out_features`."""
        sizes = [math.prod(shape) + context, *self.hidden_sizes, out_features]
        encoder = MLPEncoder(shape, sizes, [self.activation] * len(self.hidden_sizes) + [activation])
        initialise(encoder, self.init_std)
        return encoder

    def decoder(self, in_features: int, shape: Shape, encoder: Encoder | None = None) -> Decoder:
        """Build a decoder: the hidden layers in reverse order, then a layer to feature maps of `shape`.

        Raises:
            ConfigError: The weights are tied, but there is no encoder from images of this shape to these latents.
        """
        sizes = [in_features, *reversed(self.hidden_sizes), math.prod(shape)]
        linears = _transposed(encoder, sizes) if self.tied else [Linear(m, n) for m, n in pairwise(sizes)]
        decoder = MLPDecoder(shape, linears, self.activation)
        initialise(decoder, self.init_std)
        return decoder


def _transposed(encoder: Encoder | None, sizes: Sequence[int]) -> list[nn.Module]:
    """Build the decoder's layers from the encoder's weights, in reverse order; their sizes must equal `sizes`."""
    if not isinstance(encoder, MLPEncoder):
        raise ConfigError(
            "network.tied=true: needs an autoencoder whose decoder takes the encoder's output (architecture=ae); "
            "the encoder of a variational one gives the parameters of a distribution"
        )
    linears = list(reversed(encoder.linears))
    if [linear.weight.shape for linear in linears] != list(pairwise(sizes)):
        raise ConfigError(
            "network.tied=true: the likelihood needs more than one feature per pixel, but the encoder's transposed "
            "weights give only one. Choose likelihood=bernoulli, or likelihood.variance=shared or fixed "
            "(likelihood.width of a Laplace or Student)"
        )
    return [TransposedLinear(linear) for linear in linears]  # type: ignore[arg-type]


class MLPEncoder(Encoder):
    """f(x, c) = s_n(W_n … s_1(W_1 [x, c] + b_1) … + b_n).

    Args:
        shape: The shape of an image.
        sizes: Numbers of input units, hidden units and output units.
        activations: One activation per layer.
    """

    def __init__(self, shape: Shape, sizes: Sequence[int], activations: Sequence[Activation]) -> None:
        super().__init__()
        self.shape = shape
        self.activations = list(activations)
        self.linears = nn.ModuleList(Linear(m, n) for m, n in pairwise(sizes))
        self.nonlinearities = nn.ModuleList(ACTIVATIONS[name]() for name in activations)

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        """Compute the features, (B, out_features) or (K·B, out_features)."""
        first, *others = self.linears
        h: Tensor = self.nonlinearities[0](affine_in_context(first, x.flatten(1), c))
        for linear, nonlinearity in zip(others, self.nonlinearities[1:], strict=True):
            h = nonlinearity(linear(h))
        return h

    def squared_jacobian_norm(self, x: Tensor, c: Tensor) -> Tensor:
        """Compute ‖∂f(x)/∂x‖²_F of each image, (B,): in closed form for one sigmoid or tanh layer, else by autograd."""
        if self._has_one_slope():
            return self._squared_norm(self._slope(x, c))
        return squared_jacobian_norm_by_autograd(lambda images: self(images, c), x)

    def squared_jacobian_change(self, x: Tensor, near: Tensor, c: Tensor) -> Tensor:
        """Compute ‖J(x) − J(x̃)‖²_F, (S, B), for neighbours x̃ (S, B, C, H, W): in closed form if ‖J‖² has one.

        The Jacobian of one layer is diag(s') W, so only s' differs: Σ_j (s'_j(x) − s'_j(x̃))² ‖W_j‖².
        """
        if self._has_one_slope():
            near_slope = self._slope(near.flatten(0, 1), c.repeat(len(near), 1)).unflatten(0, near.shape[:2])
            return self._squared_norm(self._slope(x, c) - near_slope)
        return squared_jacobian_change_by_autograd(lambda images: self(images, c), x, near)

    def filters(self) -> Tensor:
        """Return the first layer's weights as images (N, C, H, W)."""
        images: Tensor = self._pixel_weights().unflatten(1, self.shape)
        return images

    def _has_one_slope(self) -> bool:
        """Tell whether the encoder is one layer in `DERIVATIVES`, or such a hidden layer and a linear code."""
        return self.activations in [[name] for name in DERIVATIVES] + [[name, "identity"] for name in DERIVATIVES]

    def _slope(self, x: Tensor, c: Tensor) -> Tensor:
        """Compute the derivative s' of the first layer's activation, (B, units)."""
        h: Tensor = self.nonlinearities[0](affine_in_context(self.linears[0], x.flatten(1), c))
        return DERIVATIVES[self.activations[0]](h)

    def _squared_norm(self, slope: Tensor) -> Tensor:
        """Compute ‖diag(s') W‖²_F = Σ_j s'_j² ‖W_j‖² (Rifai et al. 2011, ICML, eq. 5), for s' (…, units).

        With a linear code layer V on top, compute ‖V diag(s') W‖²_F = s'ᵀ (VᵀV ∘ WWᵀ) s'.
        """
        W = self._pixel_weights()
        if len(self.linears) == 1:
            return slope.square() @ W.square().sum(1)
        V: Tensor = self.linears[1].weight  # type: ignore[assignment]
        return ((slope @ ((V.T @ V) * (W @ W.T))) * slope).sum(-1)

    def _pixel_weights(self) -> Tensor:
        weight: Tensor = self.linears[0].weight  # type: ignore[assignment]
        return weight[:, : math.prod(self.shape)]


class MLPDecoder(Decoder):
    """Fully connected layers. The output has no activation: the likelihood interprets it.

    Args:
        shape: The shape of the feature maps.
        linears: The affine map of each layer.
        activation: The activation after every hidden layer.
    """

    def __init__(self, shape: Shape, linears: Sequence[nn.Module], activation: Activation) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for linear in linears:
            layers += [linear, ACTIVATIONS[activation]()]
        self.layers = nn.Sequential(*layers[:-1], nn.Unflatten(1, shape))

    def forward(self, z: Tensor) -> Tensor:
        """Compute the feature maps (B, C, H, W)."""
        features: Tensor = self.layers(z)
        return features
