"""The files and folders of a run."""

import json
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from omegaconf import DictConfig, OmegaConf

from vae_exp.config.record import Record
from vae_exp.config.replay import trust_override
from vae_exp.config.stored import read_overrides
from vae_exp.errors import RunError
from vae_exp.lock import exclusive_access
from vae_exp.results.files import read_or_warn, write_atomically
from vae_exp.results.flags import recorded_flags
from vae_exp.results.summary import known_results

Checkpoint = Literal["last", "best"]
"""The model of a run that a command takes: the one that the results belong to, or the best one."""


@dataclass(frozen=True)
class RunDirectory:
    """The files of one run."""

    path: Path

    def __init__(self, path: str | Path) -> None:
        object.__setattr__(self, "path", Path(path))

    @property
    def name(self) -> str:
        """The name of the run: its experiment and its folder."""
        return f"{self.path.absolute().parent.name}/{self.path.absolute().name}"

    @property
    def resume_command(self) -> str:
        """The shell command that resumes the run."""
        recorded = read_or_warn(read_overrides, self.overrides) if self.overrides.exists() else None
        trust = trust_override(recorded or [])
        return shlex.join(["python", "-m", "vae_exp", *self.flags, f"resume={self.path}", *trust])

    @property
    def flags(self) -> list[str]:
        """The flags that the run was started with, if its config depends on them."""
        return recorded_flags(self.config.with_name("hydra.yaml"))

    @property
    def config(self) -> Path:
        """The resolved config."""
        return self.path / ".hydra" / "config.yaml"

    @property
    def overrides(self) -> Path:
        """The overrides from the command line."""
        return self.path / ".hydra" / "overrides.yaml"

    @property
    def checkpoints(self) -> Path:
        """The folder of `last.ckpt` and `best.ckpt`. It exists as soon as the run has begun."""
        return self.path / "checkpoints"

    @property
    def last_checkpoint(self) -> Path:
        """The checkpoint that a resume starts from, with the model that the results belong to."""
        return self.checkpoints / "last.ckpt"

    def checkpoint(self, name: str) -> Path:
        """Return the file of a checkpoint: `last`, `best`, or another file below `checkpoints/`, without `.ckpt`.

        Raises:
            RunError: The run has no such checkpoint.
        """
        path = self.checkpoints / f"{name}.ckpt"
        if not path.exists():
            files = sorted(self.checkpoints.rglob("*.ckpt"))
            found = [str(file.relative_to(self.checkpoints).with_suffix("")) for file in files]
            raise RunError(f"checkpoint={name}: {path} is missing. The run has: {', '.join(found) or 'no checkpoint'}")
        return path

    @property
    def metrics(self) -> Path:
        """The table with one row per evaluation."""
        return self.path / "metrics.csv"

    @property
    def kl_per_latent(self) -> Path:
        """The table with the KL of every latent, one row per evaluation."""
        return self.path / "kl_per_latent.csv"

    @property
    def results(self) -> Path:
        """The final results, one flat JSON object. It is written last."""
        return self.path / "results.json"

    @property
    def figures(self) -> Path:
        """The folder of the pictures."""
        return self.path / "figures"

    @property
    def report(self) -> Path:
        """The page that shows everything in the run directory."""
        return self.path / "report.html"

    @property
    def model_page(self) -> Path:
        """The page in which the model can be touched, if it was written (the key `touch`)."""
        return self.path / "model.html"

    def recorded_overrides(self) -> list[str]:
        """Read the overrides that the run was started with.

        Raises:
            RunError: The record cannot be read.
        """
        return read_overrides(self.overrides)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes out of the run directory inside the `with` block.

        Raises:
            RunError: Another process is in it.
        """
        with exclusive_access(self.path, f"{self.path}: another process is in this run"):
            yield

    def is_in_use(self) -> bool:
        """Tell whether a process is in the run directory now."""
        try:
            with self.locked():
                return False
        except RunError:
            return True

    def claim(self) -> None:
        """Claim the directory for a new run. A run that failed without a checkpoint may start again in its directory.

        Raises:
            RunError: The directory already holds a run, the results of a run, or a sweep.
        """
        if (self.path / "multirun.yaml").exists():
            raise RunError(f"{self.path}: holds a sweep. Name another folder (hydra.run.dir=…)")
        if self.holds_results() and not self.holds_a_run():
            raise RunError(
                f"{self.path}: holds the results of a run already, which has no checkpoint to go on from. Name another "
                "folder (hydra.run.dir=…)"
            )
        self.claim_again()

    def claim_again(self) -> None:
        """Claim the directory of a sweep's job. A job without a checkpoint that is not completed may start again.

        Raises:
            RunError: The job has a checkpoint to resume from, or is completed.
        """
        if self.holds_a_run() or self.is_completed():
            raise RunError(
                f"{self.path}: holds a run already. Go on with it (resume={self.path}) or name another folder"
            )
        self.checkpoints.mkdir(parents=True, exist_ok=True)

    def holds_a_run(self) -> bool:
        """Tell whether the run or one of its stages has a checkpoint to resume from."""
        stages = self.path.glob("*/checkpoints/last.ckpt") if self.config.exists() else []
        return self.last_checkpoint.exists() or any(stages)

    def holds_results(self) -> bool:
        """Tell whether the run was evaluated or has results, with or without a checkpoint."""
        results = known_results(self.results)
        evaluated = self.metrics.exists() and self.metrics.stat().st_size > 0
        return evaluated or results.get("status") == "completed" or bool(results.get("samples"))

    def is_completed(self) -> bool:
        """Tell whether the results have the status `completed`."""
        return known_results(self.results).get("status") == "completed"

    def write_record(self, record: Record, hydra: DictConfig) -> None:
        """Write what the run was started with: the config, the overrides, and Hydra's own config."""
        self.config.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.config, record.yaml)
        write_atomically(self.overrides, OmegaConf.to_yaml(list(record.overrides)))
        write_atomically(self.config.with_name("hydra.yaml"), OmegaConf.to_yaml(OmegaConf.create({"hydra": hydra})))

    def write_results(self, results: Mapping[str, Any]) -> None:
        """Write `results.json` atomically."""
        write_atomically(self.results, json.dumps(results, indent=2) + "\n")


def path_hint(path: str | Path) -> str:
    """Return the end of a message about a path that is not a run directory: it is a sweep, or a folder inside a run."""
    if (Path(path) / "multirun.yaml").exists():
        return ". It is the directory of a sweep: name one of its jobs"
    outer = (folder for folder in Path(path).parents if RunDirectory(folder).config.exists())
    return "".join(f". Did you mean {folder}?" for folder in islice(outer, 1))
