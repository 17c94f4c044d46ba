"""The sweeper of this project: Hydra's grid of jobs, which can be resumed and which tells of every failure."""

import logging
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from vae_exp.errors import ConfigError, Interrupted, RunError, UserError
from vae_exp.jobs import ELSEWHERE
from vae_exp.resume import key_of, quoted
from vae_exp.run_directory import RunDirectory
from vae_exp.sweep import reported
from vae_exp.sweep_directory import SweepDirectory

log = logging.getLogger(__name__)

Words = list[str]
Runs = dict[RunDirectory, Words]
Failures = dict[RunDirectory, BaseException]


class GridSweeper(Sweeper):
    """One job for every combination of the values given; in a directory that it was in before, those not completed.

    Args:
        params: Values by key, as a yaml gives them: what is typed goes before.
    """

    config: DictConfig
    launcher: Launcher

    def __init__(self, params: Mapping[str, Any] | None = None) -> None:
        self.params = params

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Build the launcher."""
        # the directory's name may hold the choice of a group, and Hydra 1.3 sets this in a job only
        HydraConfig.instance().set_config(config)
        self.config = config
        self.loader = hydra_context.config_loader
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> list[JobReturn]:
        """Run what is not completed and write the table, however it ends.

        Raises:
            RunError: A job failed; or the directory is another sweep's, or another process is in it.
            Interrupted: A signal asked for the end.
        """
        directory = self._directory()
        jobs = self._jobs(self.params, arguments)
        runs = self._runs(directory, jobs)
        with self._begun(directory, lambda began: self._check_same(directory, began, jobs)):
            returns, failures = self._run(directory, runs)
            self._check_failures(directory, runs, failures)
            return returns

    def _directory(self) -> SweepDirectory:
        return SweepDirectory(RunDirectory(self.config.hydra.sweep.dir).path)

    @contextmanager
    def _begun(self, directory: SweepDirectory, check_same: Callable[[dict[str, Any]], None]) -> Iterator[None]:
        """Take the directory, which is new or this sweep's own; however what follows ends, the table is written."""
        with directory.taken():
            if directory.record.exists():
                began = directory.hydra()
                ours = self.config.hydra.runtime.choices["hydra/sweeper"]
                theirs = (began["runtime"].get("choices") or {}).get("hydra/sweeper")
                if theirs != ours:
                    raise self._another(directory, f"it is of hydra/sweeper={theirs}, not {ours}")
                check_same(began)
            else:
                OmegaConf.save(self.config, directory.record)
            with reported(directory.path):
                yield

    def _runs(self, directory: SweepDirectory, jobs: list[Words], first: int = 0) -> Runs:
        """Each job's words by its own directory; the jobs are numbered from the first on.

        Raises:
            RunError: A job's directory does not lie in the sweep's.
        """
        paths = [directory.path / self._subdirectory(i, words) for i, words in enumerate(jobs, first)]
        for path in paths:
            if not path.resolve().is_relative_to(directory.path.resolve()):
                raise RunError(f"hydra.sweep.subdir={path}: leads out of the sweep's directory, {directory.path}")
        return dict(zip(map(RunDirectory, paths), jobs, strict=True))

    def _jobs(self, params: Mapping[str, Any] | None, arguments: Sequence[str]) -> list[Words]:
        parser = OverridesParser.create(config_loader=self.loader)
        words = [f"{key}={value}" for key, value in (params or {}).items()]
        overrides = parser.parse_overrides([*words, *arguments])
        for override in overrides:
            if override.is_interval_sweep():
                raise ConfigError(f"{override.input_line}: a grid is of single values; hydra/sweeper=optuna searches")
        return BasicSweeper.split_arguments(overrides, None)[0]

    def _subdirectory(self, number: int, words: Words) -> str:
        """A job's folder; what cannot be composed is found before the first job starts."""
        config = self.loader.load_sweep_config(self.config, words)
        with open_dict(config):
            config.hydra.job.num = number
        return str(config.hydra.sweep.subdir)

    def _check_same(self, directory: SweepDirectory, began: dict[str, Any], jobs: list[Words]) -> None:
        theirs = [identity(words) for words in self._jobs(began["sweeper"].get("params"), directory.typed())]
        ours = [identity(words) for words in jobs]
        if len(theirs) != len(ours):
            raise self._another(directory, f"it has {len(theirs)} jobs, not {len(ours)}")
        for i, (their, our) in enumerate(zip(theirs, ours, strict=True)):
            if their != our:
                raise self._another(directory, f"its job {i} is {told(their)}, not {told(our)}")

    def _another(self, directory: SweepDirectory, difference: str) -> RunError:
        return RunError(
            f"sweep.resume={directory.path}: belongs to another sweep: {difference}. Go on with that one "
            f"({directory.go_on}) or name another folder (hydra.sweep.dir=…)"
        )

    def _run(self, directory: SweepDirectory, jobs: Runs) -> tuple[list[JobReturn], Failures]:
        """Run what is not completed."""
        left = {run: words for run, words in jobs.items() if not run.is_completed()}
        if len(left) < len(jobs):
            names = ", ".join(run.path.name for run in left) or "none"
            log.info("%d of %d jobs are completed; left: %s", len(jobs) - len(left), len(jobs), names)
        returns = self._launch(directory, left)
        failures = {}
        for (run, words), job in zip(left.items(), returns, strict=True):
            if job.status != JobStatus.COMPLETED:
                failures[run] = job._return_value
                _record(run, words, job._return_value)
        return returns, failures

    def _check_failures(self, directory: SweepDirectory, jobs: Runs, failures: Failures) -> None:
        if failures:
            lines = [f"  job {run.path.name} ({told(jobs[run])}): {error}" for run, error in failures.items()]
            head = f"{len(failures)} of {len(jobs)} jobs failed:"
            raise RunError("\n".join([head, *lines, *_directions(directory)])) from next(iter(failures.values()))

    def _launch(self, directory: SweepDirectory, jobs: Runs) -> list[JobReturn]:
        if not jobs:
            return []
        parent = f"hydra.sweep.dir={quoted(directory.path)}"
        told = [
            [*words, parent, f"hydra.sweep.subdir={quoted(run.path.relative_to(directory.path))}"]
            for run, words in jobs.items()
        ]
        try:
            return list(self.launcher.launch(told, initial_job_idx=0))
        except Interrupted as interruption:
            message = "\n".join([str(interruption), *_directions(directory)])
            raise Interrupted(interruption.signal_number, message) from None
        except (KeyboardInterrupt, SystemExit):  # Lightning makes the one of the other
            raise Interrupted(signal.SIGINT, "\n".join(["Interrupted.", *_directions(directory)])) from None
        except UserError:
            raise
        except Exception as error:
            choice = self.config.hydra.runtime.choices["hydra/launcher"]
            message = f"hydra/launcher={choice}: gave up: {type(error).__name__}: {error}"
            raise RunError("\n".join([message, *_directions(directory)])) from error


def _record(run: RunDirectory, words: Words, error: BaseException) -> None:
    """What a job that was killed could not write itself."""
    if not run.results.exists() and not run.is_taken():
        run.write_results({"status": "failed", "error": str(error), "overrides": words})


def identity(words: Words) -> Words:
    """What makes a job the same: machine, folders and what is shown may change."""
    return [word for word in words if not key_of(word).startswith((*ELSEWHERE, "trainer"))]


def told(words: Words) -> str:
    """Words in a message."""
    return " ".join(words) or "without overrides"


def _directions(directory: SweepDirectory) -> list[str]:
    return ["Go on with what is not completed:", f"  {directory.go_on}"]
