"""Save, restore and seed PyTorch's random number generators. Checkpoints contain their states."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch


def state() -> dict[str, Any]:
    """Return the states of the generators of the CPU and of every GPU."""
    on_gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"generator": torch.get_rng_state(), "cuda_generators": on_gpus}


def restore(states: Mapping[str, Any]) -> None:
    """Restore the states that `state` returned."""
    torch.set_rng_state(states["generator"].cpu())
    if torch.cuda.is_available():
        torch.cuda.set_rng_state_all([state.cpu() for state in states["cuda_generators"]])


def seed(*numbers: int) -> None:
    """Seed all generators with one seed, which is computed from `numbers`."""
    torch.manual_seed(int(np.random.SeedSequence(numbers).generate_state(1)[0]))
