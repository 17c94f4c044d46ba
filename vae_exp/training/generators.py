"""Save, restore and seed PyTorch's random number generators. Checkpoints contain their states."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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


class Own:
    """The generators of one of several runs that take turns in this process: each draws what it would draw alone.

    Attributes:
        on_gpus: The generators for every GPU.
    """

    def __init__(self) -> None:
        self._on_cpu = torch.get_rng_state()
        gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if gpus:
            torch.cuda.init()  # otherwise a seed is kept for the default generators, which do not exist yet
        self.on_gpus = [torch.Generator(f"cuda:{i}") for i in range(gpus)]

    @contextmanager
    def current(self) -> Iterator[None]:
        """In this context, draw from these generators. A CUDA graph can capture it, if it knows `on_gpus`."""
        for default, own in zip(torch.cuda.default_generators, self.on_gpus, strict=False):
            default.graphsafe_set_state(own)
        torch.set_rng_state(self._on_cpu)
        try:
            yield
        finally:
            self._on_cpu = torch.get_rng_state()

    def state(self) -> list[torch.Tensor]:
        """Return the states of the generators of the CPU and of every GPU."""
        return [self._on_cpu, *(own.get_state() for own in self.on_gpus)]

    def restore(self, states: list[torch.Tensor]) -> None:
        """Restore the states that `state` returned."""
        self._on_cpu, *on_gpus = states
        for own, value in zip(self.on_gpus, on_gpus, strict=True):
            own.set_state(value)
