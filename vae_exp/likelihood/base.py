"""The interface of likelihoods p(x|z), which turn a decoder's features into a distribution."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Distribution

_validated = True


class Likelihood(nn.Module, ABC):
    """A likelihood p(x|z): maps decoder features to a distribution over images.

    Attributes:
        parameters_per_pixel: How many feature maps the decoder gives per image channel.
        density: Whether pixels are continuous. Then p(x|z) is a density, otherwise a probability.
        binary: Whether pixels are 0 or 1. A grey pixel then stands for the probability of 1.
        support: The pixels that it can explain: `levels`, the 256 numbers 0, 1/255, …, 1, to which it then gives
            probabilities; `unit`, those in [0, 1]; or `real`, all numbers.
        unbounded: Whether log p(x|z) has no upper limit if pixels take few values. This is so for a density of
            continuous pixels with a learned width.
    """

    parameters_per_pixel: int
    density: bool = False
    binary: bool = False
    support: Literal["levels", "unit", "real"] = "unit"
    unbounded: bool = False

    @abstractmethod
    def forward(self, features: Tensor) -> Distribution:
        """Map features (…, parameters_per_pixel·C, H, W) to p(x|z), batch shape (…) and event shape (C, H, W)."""

    @abstractmethod
    def diagnostics(self, p: Distribution) -> dict[str, float]:
        """Return numbers that warn of a problem with p(x|z), by name; logged in addition to the terms of the loss."""


@contextmanager
def unvalidated() -> Iterator[None]:
    """Turn off the argument checks of distributions: uint8 images cannot leave [0, 1], and the checks cost time."""
    before = _validated, torch_validates()
    try:  # a signal may interrupt already the next line
        set_validation(False, False)
        yield
    finally:
        set_validation(*before)


def set_validation(ours: bool, torchs: bool) -> None:
    """Set whether the distributions of this package and those of PyTorch check their arguments, until this changes."""
    global _validated
    _validated = ours
    Distribution.set_default_validate_args(torchs)


def is_validated() -> bool:
    """Tell whether arguments are checked, as they are outside of `unvalidated`."""
    return _validated


def torch_validates() -> bool:
    """Tell whether PyTorch checks arguments by default. It has a function to set this, but none to read it."""
    try:
        Bernoulli(probs=torch.tensor(2.0, device="cpu"))
    except ValueError:
        return True
    return False


def check_support(p: Distribution, value: Tensor) -> None:
    """Check a value before its log density is computed, in our own distributions, as PyTorch does in its own.

    Raises:
        ValueError: The distribution checks its arguments, and the value lies outside its support.
    """
    # nothing public says whether one distribution checks its arguments
    if p._validate_args:
        p._validate_sample(value)


@contextmanager
def true_gradient(likelihood: Likelihood) -> Iterator[None]:
    """Give log p(x|z) its true gradient in this context, in training mode too: samplers of z need it."""
    training = likelihood.training
    likelihood.eval()
    try:
        yield
    finally:
        likelihood.train(training)
