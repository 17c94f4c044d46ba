"""The functions of a model that other programs call: its encoder, its decoder, its classifier."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent

from vae_exp.architecture import Autoencoder, Classifies, Generative, Model
from vae_exp.dataset.standardisation import Standardisation

IMAGES = 2
"""Number of images of the example inputs. With one image, torch.export would take the number for a constant."""


@dataclass(frozen=True)
class Function:
    """A function from named tensors to named tensors, whose first axis is the batch.

    Args:
        name: `encoder`, `decoder` or `classifier`.
        module: Computes it; it takes the inputs in order and returns a tuple with the outputs in order.
        inputs: An example of each input, by name.
        outputs: The shape of each output without the batch, by name.
    """

    name: str
    module: nn.Module
    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, tuple[int, ...]]

    def __call__(self, inputs: Mapping[str, Tensor]) -> list[Tensor]:
        """Compute the outputs in order."""
        return list(self.module(*inputs.values()))


def functions_of(model: Model, standardisation: Standardisation | None = None) -> list[Function]:
    """Return what a model computes, in this order.

    - `encoder`, if the model has one: images `x` to the `code`, and to the `log_variance` of q(z|x) if it is random
      and that is known in closed form;
    - `decoder`, if the model is an autoencoder: latents `z` to the `mean` of p(x|z), and to its other parameters;
    - `classifier`, if the model is one: images `x` to `log_probability`, log p(y|x) of every class.

    The encoder and the decoder of a model that takes labels have the input `y`, int64, too.

    Args:
        model: The model, in evaluation mode, with parameters that need no gradient.
        standardisation: How its pixels were standardised. Then `x` and the parameters of p(x|z) are in the original
            units, not in those of the model.
    """
    autoencoder = model.autoencoder
    images = _examples(model.shape, standardisation)
    labels = {"y": torch.arange(IMAGES) % autoencoder.classes} if autoencoder.classes else {}
    latents = {"z": torch.randn(IMAGES, autoencoder.latent_dim)}
    found = []
    if model.amortized:
        encode = Encode(model, standardisation)
        outputs = ("code", "log_variance")[: len(encode(*images.values(), *labels.values()))]
        found.append(_function("encoder", encode, images | labels, outputs))
    if isinstance(model, Autoencoder):
        parameters = tuple(parameters_of(model.decode(*latents.values(), *labels.values())))
        found.append(_function("decoder", Decode(model, parameters, standardisation), latents | labels, parameters))
    if isinstance(model, Classifies):
        found.append(_function("classifier", Classify(model, standardisation), images, ("log_probability",)))
    return found


def parameters_of(p: Distribution) -> dict[str, Tensor]:
    """Return the mean of p(x|z) and the other parameters that it was built with, by the names of its class.

    For example, `mean` and `logits` of a Bernoulli, and `mean` and `scale` of a normal, whose `loc` is the mean.
    A class that does not list its parameters in `arg_constraints`, as a mixture, has the mean only.
    """
    pixels = p
    while isinstance(pixels, Independent):
        pixels = pixels.base_dist
    # before `mean` is computed: a Bernoulli then keeps its probs, and would seem to be built with them
    own = {name: value for name, value in vars(pixels).items() if name in pixels.arg_constraints}
    mean = p.mean
    return {"mean": mean} | {name: v for name, v in own.items() if isinstance(v, Tensor) and v is not mean}


class Units(nn.Module):
    """Converts pixels from their original units to those of the model, and parameters of p(x|z) back.

    Args:
        standardisation: How the pixels were standardised; None if they were not.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, standardisation: Standardisation | None) -> None:
        super().__init__()
        self.converts = standardisation is not None
        if standardisation is not None:
            self.register_buffer("mean", standardisation.mean)
            self.register_buffer("std", standardisation.std)

    def forward(self, x: Tensor) -> Tensor:
        """Standardise images (B, C, H, W), float32."""
        return ((x.double() - self.mean) / self.std).float() if self.converts else x

    def original(self, name: str, value: Tensor) -> Tensor:
        """Convert a parameter (B, C, H, W): a location or a scale. A parameter of another kind has no units."""
        if not self.converts or name not in ("mean", "loc", "scale"):
            return value
        scaled = value.double() * self.std
        return (scaled if name == "scale" else scaled + self.mean).float()


class Encode(nn.Module):
    """Maps images, and labels if the model takes them, to the code and to log σ² of q(z|x), if it has one.

    Args:
        model: The model.
        standardisation: How its pixels were standardised.
    """

    def __init__(self, model: Model, standardisation: Standardisation | None) -> None:
        super().__init__()
        self.model = model
        self.units = Units(standardisation)

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, ...]:
        """Encode x (B, C, H, W) and y (B,)."""
        if isinstance(self.model, Generative):
            q = self.model.posterior(self.units(x), y)
            log_variance = q.closed_log_variance()
            return (q.mean,) if log_variance is None else (q.mean, log_variance)
        return (self.model.autoencoder.encode(self.units(x), y),)


class Decode(nn.Module):
    """Maps latents, and labels if the model takes them, to the parameters of p(x|z).

    Args:
        model: The model.
        parameters: The names of the parameters (`parameters_of`).
        standardisation: How its pixels were standardised.
    """

    def __init__(
        self, model: Autoencoder, parameters: tuple[str, ...], standardisation: Standardisation | None
    ) -> None:
        super().__init__()
        self.model = model
        self.parameter_names = parameters
        self.units = Units(standardisation)

    def forward(self, z: Tensor, y: Tensor | None = None) -> tuple[Tensor, ...]:
        """Decode z (B, latent_dim) and y (B,)."""
        found = parameters_of(self.model.decode(z, y))
        return tuple(self.units.original(name, found[name]) for name in self.parameter_names)


class Classify(nn.Module):
    """Maps images to log p(y|x) of every class.

    Args:
        model: The model.
        standardisation: How its pixels were standardised.
    """

    def __init__(self, model: Classifies, standardisation: Standardisation | None) -> None:
        super().__init__()
        self.model = cast(nn.Module, model)
        self.units = Units(standardisation)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Classify x (B, C, H, W)."""
        return (cast(Classifies, self.model).classify(self.units(x)),)


def _examples(shape: tuple[int, ...], standardisation: Standardisation | None) -> dict[str, Tensor]:
    """Return images in their original units: in [0, 1], or around the mean of the training images."""
    if standardisation is None:
        return {"x": torch.rand(IMAGES, *shape)}
    return {"x": standardisation.invert(torch.randn(IMAGES, *shape)).float()}


def _function(name: str, module: nn.Module, inputs: Mapping[str, Tensor], outputs: tuple[str, ...]) -> Function:
    computed = module.eval()(*inputs.values())
    shapes = {output: tuple(value.shape[1:]) for output, value in zip(outputs, computed, strict=True)}
    return Function(name, module, inputs, shapes)
