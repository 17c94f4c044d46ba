"""The contract of a likelihood."""

from typing import get_args, get_type_hints

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae_exp.config.contracts.tensors import check_floats, check_trainable
from vae_exp.foreign import reported, require
from vae_exp.likelihood import Likelihood
from vae_exp.network import Shape

BATCHES = ((2,), (3, 2))
"""Batch shapes: two images, and three latents of each of two images."""


def check_likelihood(likelihood: Likelihood, shape: Shape, key: str) -> None:
    """Hold a likelihood against its contract.

    Args:
        likelihood: The likelihood.
        shape: (C, H, W) of an image.
        key: Its key on the command line.

    Raises:
        PartError: It does not keep the contract.
    """
    name = type(likelihood).__name__
    with reported(key):
        _check_attributes(likelihood, name, key)
        for batch in BATCHES:
            _check_distribution(likelihood, batch, shape, name, key)


def _check_attributes(likelihood: Likelihood, name: str, key: str) -> None:
    maps = getattr(likelihood, "parameters_per_pixel", None)
    is_count = isinstance(maps, int) and not isinstance(maps, bool) and maps >= 1
    require(is_count, key, f"{name}.parameters_per_pixel must be a whole number, 1 or more, and is {maps}")
    supports = get_args(get_type_hints(Likelihood)["support"])
    allowed = ", ".join(supports[:-1]) + f" or {supports[-1]}"
    support = likelihood.support
    require(support in supports, key, f"{name}.support must be {allowed}, and is {support}")


def _check_distribution(likelihood: Likelihood, batch: tuple[int, ...], shape: Shape, name: str, key: str) -> None:
    channels, *size = shape
    features = torch.randn(*batch, likelihood.parameters_per_pixel * channels, *size, requires_grad=True)
    call = f"{name}(features {tuple(features.shape)})"
    p = likelihood(features)
    require(isinstance(p, Distribution), key, f"{call} must be a Distribution, and is a {type(p).__name__}")
    for attribute, wanted in (("batch_shape", batch), ("event_shape", shape)):
        actual = tuple(getattr(p, attribute))
        require(actual == tuple(wanted), key, f"{call} must have the {attribute} {tuple(wanted)}, and has {actual}")
    log_prob = p.log_prob(pixels(likelihood, 2, shape))
    check_floats(log_prob, batch, key, f"log_prob(x) of {call}")
    check_trainable(log_prob, [features], key, f"log_prob(x) of {call} must have a gradient, and has none")
    check_floats(p.mean, (*batch, *shape), key, f"the mean of {call}")
    check_floats(p.sample(), (*batch, *shape), key, f"sample() of {call}")
    numbers = likelihood.diagnostics(p)
    is_numbers = isinstance(numbers, dict) and all(isinstance(number, float) for number in numbers.values())
    require(is_numbers, key, f"{name}.diagnostics(p) must be a dict of floats, and is {numbers}")


def pixels(likelihood: Likelihood, images: int, shape: Shape) -> Tensor:
    """Draw images (images, C, H, W) that a likelihood can explain, black and white pixels among them."""
    if likelihood.support == "real":
        return torch.randn(images, *shape)
    grey = torch.rand(images, *shape)
    x = torch.where(torch.rand_like(grey) < 0.5, grey.round(), grey)
    if likelihood.support == "levels":
        return (255 * x).round() / 255
    return x.round() if likelihood.binary else x
