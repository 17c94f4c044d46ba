"""The files of a sweep: one run directory per job, and the record of the sweep's command line and config."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vae_exp.config.overrides import parse_sweep
from vae_exp.config.replay import trust_override
from vae_exp.config.stored import Damaged, printable, read_yaml
from vae_exp.errors import ConfigError, RunError, nearest_first
from vae_exp.lock import exclusive_access
from vae_exp.results.files import read_or_warn
from vae_exp.results.flags import recorded_flags

HYDRA_ENTRIES = ("overrides", "runtime", "sweeper")
"""The entries of Hydra's own config that are read from the record."""


@dataclass(frozen=True)
class SweepDirectory:
    """The files of one sweep."""

    path: Path

    @property
    def record(self) -> Path:
        """The composed config that the sweep was started with. The file has the same name as in Hydra's own sweeper."""
        return self.path / "multirun.yaml"

    @property
    def proposals(self) -> Path:
        """The file with the values of every job that a search has proposed so far."""
        return self.path / "proposals.json"

    @property
    def jobs(self) -> Path:
        """The file with the values of every job of a grid. They can be random, as in `seed=shuffle(range(3))`."""
        return self.path / "jobs.json"

    @property
    def is_search(self) -> bool:
        """Whether the sweep is a search, which proposes jobs one after another, and not a grid."""
        return self.proposals.exists()

    @property
    def resume_command(self) -> str:
        """The shell command that resumes the sweep."""
        recorded = read_or_warn(lambda _: self.recorded_overrides(), self.record) if self.record.exists() else None
        trust = trust_override(recorded or [])
        return shlex.join(["python", "-m", "vae_exp", "-m", *self.flags, f"sweep.resume={self.path}", *trust])

    @property
    def flags(self) -> list[str]:
        """The flags that the sweep was started with, if its config depends on them."""
        return recorded_flags(self.record)

    def recorded(self) -> dict[str, Any]:
        """Read the composed config that the sweep was started with, or return {} if there is no record.

        The values are plain; interpolations are text.

        Raises:
            RunError: The record cannot be read.
        """
        config = read_yaml(self.record) if self.record.exists() else {}
        if not isinstance(config, dict):
            raise Damaged(f"{self.record}: cannot be read: it is no config")
        return config

    def hydra(self) -> dict[str, Any]:
        """Read Hydra's own config at the start of the sweep. The values are plain; interpolations are text.

        Raises:
            RunError: The directory contains no sweep, or the record is damaged.
        """
        if not self.record.exists():
            beside = [str(record.parent) for record in self.path.parent.glob(f"*/{self.record.name}")]
            nearest = "".join(f". Did you mean {name}?" for name in nearest_first(str(self.path), beside)[:1])
            if (self.path / ".hydra").exists():
                nearest = f". It is a run: resume={self.path}"
            missing = f"sweep.resume={self.path}: is not the directory of a sweep: {self.record} is missing"
            raise RunError(missing + nearest)
        hydra = self.recorded().get("hydra")
        if not isinstance(hydra, dict) or not all(isinstance(hydra.get(key), dict) for key in HYDRA_ENTRIES):
            raise Damaged(f"{self.record}: cannot be read: it is no record of a sweep")
        return hydra

    def recorded_overrides(self) -> list[str]:
        """Read the overrides that the sweep was started with.

        Raises:
            RunError: The directory contains no sweep, or the record is damaged.
        """
        return [*self._overrides("hydra"), *self.task()]

    def task(self) -> list[str]:
        """Read the overrides of the experiment's config, without those of Hydra's own config.

        Raises:
            RunError: The directory contains no sweep, or the record is damaged.
        """
        return self._overrides("task")

    def _overrides(self, group: str) -> list[str]:
        """Read the overrides of a group: `hydra` or `task`."""
        overrides = self.hydra()["overrides"].get(group)
        if not isinstance(overrides, list) or not all(isinstance(override, str) for override in overrides):
            raise Damaged(f"{self.record}: cannot be read: hydra.overrides.{group} is no list of words")
        return overrides

    def varied(self) -> list[str]:
        """Read the keys that the sweep gives several values, in the order of its overrides.

        Raises:
            RunError: The directory contains no sweep, or the record is damaged.
        """
        try:
            overrides = parse_sweep(self.hydra()["sweeper"].get("params"), self.task())
        except ConfigError as error:
            raise Damaged(f"{self.record}: cannot be read: {printable(error)}") from error
        return [override.key for override in overrides if override.is_sweep]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes out of the sweep directory inside the `with` block.

        Raises:
            RunError: Another process is in it.
        """
        with exclusive_access(self.path, f"hydra.sweep.dir={self.path}: another process is in this sweep"):
            yield
