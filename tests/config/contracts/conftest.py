"""The check of a config in which one part is from outside."""

import random
from copy import deepcopy
from functools import cache

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from vae_exp.config.assembly import check_config
from vae_exp.config.contracts.check import check_contracts
from vae_exp.config.paths import CONFIG_DIR


@cache
def composed(architecture):
    """The config of an architecture, which is composed once."""
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        return compose("config", [f"architecture={architecture}", "name=test", "architecture.latent_dim=2"])


def states():
    """The states of all generators of random numbers."""
    return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()


@pytest.fixture
def check():
    """Check a config with another part in the place of ours, at a dotted key. No generator may change."""

    def checked(key, part, architecture="vae", **arguments):
        config = deepcopy(composed(architecture))
        config.likelihood = {"_target_": "vae_exp.likelihood.Bernoulli"}
        node = {"_target_": f"{part.__module__}.{part.__name__}", **arguments}
        OmegaConf.update(config, key, node, merge=False, force_add=True)
        check_config(config)
        before = states()
        try:
            check_contracts(config)
        finally:
            assert states() == before

    return checked
