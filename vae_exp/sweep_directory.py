"""Where everything of a sweep lies: a run directory per job, and what was typed for all of them."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser

from vae_exp.config.replay import trust_words
from vae_exp.config.stored import Damaged, read_yaml
from vae_exp.errors import RunError, nearest_first
from vae_exp.lock import alone
from vae_exp.results.files import known
from vae_exp.results.flags import recorded_flags

READ = ("overrides", "runtime", "sweeper")
"""What is read of the record, of Hydra's own config."""


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
        recorded = known(lambda _: self.words(), self.record) if self.record.exists() else None
        own = trust_words(recorded or [])
        return shlex.join(["python", "-m", "vae_exp", "-m", *self.flags, f"sweep.resume={self.path}", *own])

    @property
    def flags(self) -> list[str]:
        """The flags that it was begun with, as far as its config depends on them."""
        return recorded_flags(self.record)

    def recorded(self) -> dict[str, Any]:
        """The composed config that it began with, as plain values, with interpolations as text; empty without one.

        Raises:
            RunError: It cannot be read.
        """
        found = read_yaml(self.record) if self.record.exists() else {}
        if not isinstance(found, dict):
            raise Damaged(f"{self.record}: cannot be read: it is no config")
        return found

    def hydra(self) -> dict[str, Any]:
        """Hydra's own config, as it began: plain values, with interpolations as text.

        Raises:
            RunError: There is no sweep in it, or its record is damaged.
        """
        if not self.record.exists():
            beside = [str(record.parent) for record in self.path.parent.glob(f"*/{self.record.name}")]
            nearest = "".join(f". Did you mean {name}?" for name in nearest_first(str(self.path), beside)[:1])
            if (self.path / ".hydra").exists():
                nearest = f". It is a run: resume={self.path}"
            missing = f"sweep.resume={self.path}: is not the directory of a sweep: {self.record} is missing"
            raise RunError(missing + nearest)
        hydra = self.recorded().get("hydra")
        if not isinstance(hydra, dict) or not all(isinstance(hydra.get(key), dict) for key in READ):
            raise Damaged(f"{self.record}: cannot be read: it is no record of a sweep")
        return hydra

    def words(self) -> list[str]:
        """The command line that it began with.

        Raises:
            RunError: There is no sweep in it.
        """
        return [*self._words("hydra"), *self.task()]

    def task(self) -> list[str]:
        """The part of the command line that is not about Hydra.

        Raises:
            RunError: There is no sweep in it.
        """
        return self._words("task")

    def _words(self, of: str) -> list[str]:
        words = self.hydra()["overrides"].get(of)
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise Damaged(f"{self.record}: cannot be read: hydra.overrides.{of} is no list of words")
        return words

    def varied(self) -> list[str]:
        """The keys that are given several values, as they were typed.

        Raises:
            RunError: There is no sweep in it.
        """
        hydra = self.hydra()
        words = [f"{key}={value}" for key, value in (hydra["sweeper"].get("params") or {}).items()]
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
