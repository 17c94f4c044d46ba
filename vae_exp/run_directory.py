"""Where everything of a run lies."""

import json
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vae_exp.config.replay import trust_words
from vae_exp.config.stored import read_words
from vae_exp.errors import RunError
from vae_exp.lock import alone
from vae_exp.results.files import known, write_atomically
from vae_exp.results.flags import recorded_flags
from vae_exp.results.summary import known_results


@dataclass(frozen=True)
class RunDirectory:
    """The files of one run."""

    path: Path

    def __init__(self, path: str | Path) -> None:
        object.__setattr__(self, "path", Path(path))

    @property
    def name(self) -> str:
        """What the run is called: its experiment and its own folder."""
        return f"{self.path.absolute().parent.name}/{self.path.absolute().name}"

    @property
    def go_on(self) -> str:
        """What to type to go on with it, for a shell."""
        recorded = known(read_words, self.overrides) if self.overrides.exists() else None
        own = trust_words(recorded or [])
        return shlex.join(["python", "-m", "vae_exp", *self.flags, f"resume={self.path}", *own])

    @property
    def flags(self) -> list[str]:
        """The flags that it was begun with, as far as its config depends on them."""
        return recorded_flags(self.config.with_name("hydra.yaml"))

    @property
    def config(self) -> Path:
        """The resolved config."""
        return self.path / ".hydra" / "config.yaml"

    @property
    def overrides(self) -> Path:
        """The command line."""
        return self.path / ".hydra" / "overrides.yaml"

    @property
    def checkpoints(self) -> Path:
        """`last.ckpt` and `best.ckpt`; the folder is there as soon as the run has begun."""
        return self.path / "checkpoints"

    @property
    def last_checkpoint(self) -> Path:
        """Where the run goes on, and the model that its results are of."""
        return self.checkpoints / "last.ckpt"

    @property
    def metrics(self) -> Path:
        """One row per evaluation."""
        return self.path / "metrics.csv"

    @property
    def results(self) -> Path:
        """One flat object, written last."""
        return self.path / "results.json"

    @property
    def figures(self) -> Path:
        """The pictures."""
        return self.path / "figures"

    @property
    def report(self) -> Path:
        """All of it as a page."""
        return self.path / "report.html"

    def words(self) -> list[str]:
        """The command line that it began with.

        Raises:
            RunError: It cannot be read.
        """
        return read_words(self.overrides)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Keep other processes out of this run while it goes on.

        Raises:
            RunError: One is in it.
        """
        with alone(self.path, f"{self.path}: another process is in this run"):
            yield

    def is_taken(self) -> bool:
        """Whether a process is in this run now."""
        try:
            with self.taken():
                return False
        except RunError:
            return True

    def begin(self) -> None:
        """Claim a new run's directory. A run that failed before there was anything to go on from may be run anew.

        Raises:
            RunError: It holds a run already, or its results, or a sweep.
        """
        if (self.path / "multirun.yaml").exists():
            raise RunError(f"{self.path}: holds a sweep. Name another folder (hydra.run.dir=…)")
        if self.holds_results() and not self.holds_a_run():
            raise RunError(
                f"{self.path}: holds the results of a run already, which has no checkpoint to go on from. Name another "
                "folder (hydra.run.dir=…)"
            )
        self.begin_again()

    def begin_again(self) -> None:
        """Claim the directory of a sweep's job: without a checkpoint it may be run anew until it is completed.

        Raises:
            RunError: There is something to go on from, or it is completed.
        """
        if self.holds_a_run() or self.is_completed():
            raise RunError(
                f"{self.path}: holds a run already. Go on with it (resume={self.path}) or name another folder"
            )
        self.checkpoints.mkdir(parents=True, exist_ok=True)

    def holds_a_run(self) -> bool:
        """Whether there is something to go on from, its own or a stage's."""
        stages = self.path.glob("*/checkpoints/last.ckpt") if self.config.exists() else []
        return self.last_checkpoint.exists() or any(stages)

    def holds_results(self) -> bool:
        """Whether it was evaluated or has ended with something, whatever there is to go on from."""
        results = known_results(self.results)
        evaluated = self.metrics.exists() and self.metrics.stat().st_size > 0
        return evaluated or results.get("status") == "completed" or bool(results.get("samples"))

    def is_completed(self) -> bool:
        """Whether the results say so."""
        return known_results(self.results).get("status") == "completed"

    def write_record(self, config: DictConfig, hydra: DictConfig) -> None:
        """The record of what runs: config and command line, interpolations resolved, and Hydra's own config."""
        self.config.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.config, OmegaConf.to_yaml(config, resolve=True))
        write_atomically(self.overrides, OmegaConf.to_yaml([_resolved(word, config) for word in typed(hydra)]))
        write_atomically(self.config.with_name("hydra.yaml"), OmegaConf.to_yaml(OmegaConf.create({"hydra": hydra})))

    def write_results(self, results: Mapping[str, Any]) -> None:
        """Write `results.json`, whole or not at all."""
        write_atomically(self.results, json.dumps(results, indent=2) + "\n")


def hint(path: str | Path) -> str:
    """The end of a message about a path that is no run directory: the run that it lies in, or that it is a sweep."""
    if (Path(path) / "multirun.yaml").exists():
        return ". It is the directory of a sweep: name one of its jobs"
    outer = (folder for folder in Path(path).parents if RunDirectory(folder).config.exists())
    return "".join(f". Did you mean {folder}?" for folder in islice(outer, 1))


def _resolved(word: str, config: DictConfig) -> str:
    """A word without interpolations: those in a stored one are refused."""
    key, _, text = word.partition("=")
    if "${" not in text:
        return word
    value = OmegaConf.select(config, key.lstrip("+"))
    if isinstance(value, str):
        escaped = value.replace("'", "\\'")
        return f"{key}='{escaped}'"
    return f"{key}={value}" if isinstance(value, bool | int | float) else word


def typed(hydra: DictConfig) -> list[str]:
    """The overrides of a job, but for the order to resume it and whom to trust in that."""
    try:
        words = list(hydra.overrides.task)
    except OmegaConfBaseException:  # an interpolation of nothing, which the check of the config names
        words = OmegaConf.to_container(hydra.overrides.task, resolve=False)  # type: ignore[assignment]
    return [word for word in words if not word.lstrip("+").startswith(("resume=", "trust="))]
