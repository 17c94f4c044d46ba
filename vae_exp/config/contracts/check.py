"""Hold the parts of a config that come from outside this package against their contracts."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig
from torch import Tensor

from vae_exp.architecture import Autoencoder, Model
from vae_exp.config.assembly import build_architecture, build_data, build_later, foreign_parts
from vae_exp.config.contracts.architecture import check_model
from vae_exp.config.contracts.corruption import check_corruption
from vae_exp.config.contracts.latents import check_posterior, check_prior
from vae_exp.config.contracts.likelihood import check_likelihood
from vae_exp.config.contracts.network import IMAGES, CheckedNetwork
from vae_exp.config.contracts.objective import check_objective
from vae_exp.config.contracts.optimizer import check_optimizer
from vae_exp.config.objects import NO_OBJECTS, Objects
from vae_exp.corruption import Corruption
from vae_exp.dataset import Dataset
from vae_exp.foreign import is_foreign
from vae_exp.likelihood import Likelihood, unvalidated
from vae_exp.network import Network
from vae_exp.objective import Objective
from vae_exp.posterior.base import PosteriorFamily
from vae_exp.prior.base import Prior

MODEL = ("architecture", "head", "likelihood", "network", "objective", "posterior", "prior")
"""The groups that a model is built from."""


def check_contracts(config: DictConfig, objects: Objects = NO_OBJECTS) -> None:
    """Hold every part from outside this package against its contract, on two random images, on the CPU.

    The parts are built anew for this, and the generators of random numbers are restored, so that no number of the run
    changes. Callbacks are not checked here. The images of a source are checked when they have been read.

    Args:
        config: The checked config of a run.
        objects: Built parts that the config stands for. They are held against their contracts too.

    Raises:
        PartError: A part raises an exception, or does not keep its contract. The message names its key.
    """
    foreign = [*foreign_parts(config), *(place for place, part in objects.items() if is_foreign(part))]
    with _unchanged_generators(), unvalidated():
        if any(key.partition(".")[0] in MODEL for key in foreign):
            _check_model(config, foreign, objects)
        if "optimizer" in foreign:
            check_optimizer(build_later(config.optimizer), "optimizer")


def _check_model(config: DictConfig, foreign: list[str], objects: Objects) -> None:
    data = build_data(config, objects=objects)

    def checked(part: Any, key: str) -> Any:
        return _checked(part, key, data)

    model = build_architecture(config, data, checked, objects)
    for name, module in model.autoencoder.named_modules():
        if isinstance(module, Corruption) and is_foreign(module):
            check_corruption(module, data.info.shape, f"architecture.{name}")
    keys = [key for key in foreign if key.partition(".")[0] in MODEL]
    check_model(model, *_batch(model, data), ", ".join(keys))


def _checked(part: Any, key: str, data: Dataset) -> Any:
    """Check a part and return it, or what is to be used in its place."""
    if not is_foreign(part):
        return part
    if isinstance(part, Network):
        return CheckedNetwork(part, key)
    if isinstance(part, Likelihood):
        check_likelihood(part, data.info.shape, key)
    if isinstance(part, Objective):
        check_objective(part, key)
    if isinstance(part, Prior):
        check_prior(part, key)
    if isinstance(part, PosteriorFamily):
        check_posterior(part, key)
    return part


def _batch(model: Model, data: Dataset) -> tuple[Tensor, Tensor]:
    """Draw images (B, C, H, W) of the kind that the dataset has, and labels (B,)."""
    is_real = isinstance(model, Autoencoder) and model.likelihood.support == "real" and data.info.values == "real"
    x = (torch.randn if is_real else torch.rand)(IMAGES, *data.info.shape)
    y = torch.arange(IMAGES) % data.info.classes if data.info.classes else torch.full((IMAGES,), -1)
    return x.round() if data.binarized else x, y


@contextmanager
def _unchanged_generators() -> Iterator[None]:
    """Seed the generators of Python, NumPy and PyTorch in this context, and restore them afterwards."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            random.seed(0)
            np.random.seed(0)
            torch.default_generator.manual_seed(0)
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
