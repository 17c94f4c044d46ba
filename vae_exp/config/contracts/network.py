"""The contract of a network family."""

from typing import Any

import torch
from torch import Tensor

from vae_exp.config.contracts.tensors import check_floats
from vae_exp.foreign import reported, require
from vae_exp.network import Decoder, Encoder, Network, Shape
from vae_exp.network.base import Activation

IMAGES = 2


class CheckedNetwork(Network):
    """A network family that checks every encoder and decoder that it builds, with the sizes that the run needs.

    Args:
        network: The family that builds them.
        key: Its key on the command line.
    """

    def __init__(self, network: Network, key: str) -> None:
        self._network = network
        self._key = key

    @property  # type: ignore[misc]
    def __class__(self) -> type:  # some architectures ask for a family, such as MLP, by isinstance
        return type(self._network)

    def __getattr__(self, name: str) -> Any:  # and then read what this family has
        if name == "_network":  # not there yet, in a copy
            raise AttributeError(name)
        return getattr(self._network, name)

    def encoder(self, shape: Shape, context: int, out_features: int, activation: Activation = "identity") -> Encoder:
        """Build and check an encoder.

        Raises:
            PartError: It does not keep its contract.
        """
        with reported(self._key):
            encoder = self._network.encoder(shape, context, out_features, activation)
            name = f"{type(self._network).__name__}.encoder()"
            require(isinstance(encoder, Encoder), self._key, f"{name} must return an Encoder, not {_kind(encoder)}")
            _check_encoder(encoder, shape, context, out_features, self._key)
        return encoder

    def decoder(self, in_features: int, shape: Shape, encoder: Encoder | None = None) -> Decoder:
        """Build and check a decoder.

        Raises:
            PartError: It does not keep its contract.
        """
        with reported(self._key):
            decoder = self._network.decoder(in_features, shape, encoder)
            name = f"{type(self._network).__name__}.decoder()"
            require(isinstance(decoder, Decoder), self._key, f"{name} must return a Decoder, not {_kind(decoder)}")
            call = f"{type(decoder).__name__}(z) for {IMAGES} latents"
            with reported(f"{self._key}: {call}"):
                features = decoder(torch.randn(IMAGES, in_features))
            check_floats(features, (IMAGES, *shape), self._key, call)
        return decoder


def _check_encoder(encoder: Encoder, shape: Shape, context: int, out_features: int, key: str) -> None:
    name = type(encoder).__name__
    x = torch.rand(IMAGES, *shape)
    for rows in (IMAGES, 2 * IMAGES) if context else (IMAGES,):  # M2 gives every image with every label
        call = f"{name}(x, c) for {IMAGES} images" + (f" and {rows} rows of labels" if context else "")
        with reported(f"{key}: {call}"):
            features = encoder(x, torch.eye(rows, context))
        check_floats(features, (rows, out_features), key, call)
    filters = encoder.filters()
    is_images = isinstance(filters, Tensor) and filters.ndim == 4 and filters.shape[1] == shape[0]
    wanted = f"{name}.filters() must be images (N, {shape[0]}, h, w)"
    require(is_images, key, f"{wanted}, and is {_shape(filters)}")


def _kind(value: object) -> str:
    return f"a {type(value).__name__}"


def _shape(value: object) -> str:
    return str(tuple(value.shape)) if isinstance(value, Tensor) else _kind(value)
