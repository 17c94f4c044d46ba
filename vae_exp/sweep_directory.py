"""Where everything of a sweep lies: a run directory per job, and what was typed for all of them."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, ListConfig, OmegaConf

from vae_exp.errors import RunError, nearest_first
from vae_exp.lock import alone
from vae_exp.results.files import read_config, readable
from vae_exp.results.flags import recorded_flags

NEEDED = ("hydra.overrides.hydra", "hydra.overrides.task", "hydra.sweeper", "hydra.runtime.choices")
"""What a sweep is resumed by."""


@dataclass(frozen=True)
class SweepDirectory:
    """The files of one sweep."""

    path: Path

    @property
    def record(self) -> Path:
        """The composed config that it began with, as Hydra's own sweeper calls it."""
        return self.path / "multirun.yaml"

    @property
    def proposals(self) -> Path:
        """Of a search the values of every job that was proposed so far."""
        return self.path / "proposals.json"

    @property
    def jobs(self) -> Path:
        """Of a grid the values of every job: some are drawn, as in `seed=shuffle(range(3))`."""
        return self.path / "jobs.json"

    @property
    def is_search(self) -> bool:
        """Whether its settings were proposed one after another; else they are a grid."""
        return self.proposals.exists()

    @property
    def go_on(self) -> str:
        """What to type to go on with it, for a shell."""
        return shlex.join(["python", "-m", "vae_exp", "-m", *self.flags, f"sweep.resume={self.path}"])

    @property
    def flags(self) -> list[str]:
        """The flags that it was begun with, as far as its config depends on them."""
        return recorded_flags(self.record)

    def hydra(self) -> DictConfig:
        """Hydra's own config, as it began.

        Raises:
            RunError: There is no sweep in it, or its record is damaged.
        """
        if not self.record.exists():
            beside = [str(record.parent) for record in self.path.parent.glob(f"*/{self.record.name}")]
            nearest = "".join(f". Did you mean {name}?" for name in nearest_first(str(self.path), beside)[:1])
            missing = f"sweep.resume={self.path}: is not the directory of a sweep: {self.record} is missing"
            raise RunError(missing + nearest)
        record = read_config(self.record)
        with readable(self.record):
            for key in NEEDED:
                if OmegaConf.select(record, key) is None:
                    raise ValueError(f"it has no {key}")
        hydra: DictConfig = record.hydra
        return hydra

    def words(self) -> list[str]:
        """The command line that it began with.

        Raises:
            RunError: There is no sweep in it.
        """
        return [*_raw(self.hydra().overrides.hydra), *self.task()]

    def task(self) -> list[str]:
        """The part of the command line that is not about Hydra.

        Raises:
            RunError: There is no sweep in it.
        """
        return _raw(self.hydra().overrides.task)

    def varied(self) -> list[str]:
        """The keys that are given several values, as they were typed.

        Raises:
            RunError: There is no sweep in it.
        """
        hydra = self.hydra()
        words = [f"{key}={value}" for key, value in (hydra.sweeper.params or {}).items()]
        parsed = OverridesParser.create().parse_overrides([*words, *self.task()])
        last = {override.get_key_element(): override for override in parsed}
        return [key.lstrip("+~") for key, override in last.items() if override.is_sweep_override()]

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Keep other processes out of this sweep while it goes on.

        Raises:
            RunError: One is in it.
        """
        with alone(self.path, f"hydra.sweep.dir={self.path}: another process is in this sweep"):
            yield


def _raw(words: ListConfig) -> list[str]:
    """Words as they were typed: an interpolation in one is for each job to resolve."""
    raw: Any = OmegaConf.to_container(words, resolve=False)
    return [str(word) for word in raw]
