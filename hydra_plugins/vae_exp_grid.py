"""The sweeper of this project: Hydra's grid of jobs, which can be resumed and which tells of every failure."""

import json
import logging
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from vae_exp.config.replay import named_by
from vae_exp.config.trust import Trust, trusted
from vae_exp.errors import ConfigError, Interrupted, RunError, UserError
from vae_exp.jobs import ELSEWHERE
from vae_exp.results.files import write_atomically
from vae_exp.results.folders import Values, check_apart, read_values
from vae_exp.results.summary import known_results
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
        overrides = self._overrides(self.params, arguments)
        jobs = self._jobs(directory, overrides)
        runs = self._runs(directory, jobs)

        def begin() -> None:
            check_free([RunDirectory(directory.path), *runs])
            write_atomically(directory.jobs, json.dumps([_varied(overrides, words) for words in jobs], indent=2) + "\n")

        with self._begun(directory, lambda began: self._check_same(directory, began, jobs), begin):
            returns, failures = self._run(directory, runs)
            self._check_failures(directory, runs, failures)
            return returns

    def _directory(self) -> SweepDirectory:
        return SweepDirectory(RunDirectory(self.config.hydra.sweep.dir).path)

    @contextmanager
    def _begun(
        self, directory: SweepDirectory, check_same: Callable[[dict[str, Any]], None], begin: Callable[[], None]
    ) -> Iterator[None]:
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
                begin()
                write_atomically(directory.record, OmegaConf.to_yaml(self.config))
            with reported(directory.path):
                yield

    def _runs(self, directory: SweepDirectory, jobs: list[Words], before: Runs | None = None) -> Runs:
        """Each job's words by its own directory, those of the jobs before them first.

        Raises:
            ConfigError: Two would share one.
        """
        runs = list((before or {}).items())
        for number, words in enumerate(jobs, len(runs)):
            runs.append((RunDirectory(directory.path / self._subdirectory(number, words)), words))
        check_apart({number: run.path for number, (run, _) in enumerate(runs)}, directory.path, self._subdir())
        return dict(runs)

    def _jobs(self, directory: SweepDirectory, overrides: list[Override]) -> list[Words]:
        """Each job's words: what was drawn when the sweep began, else every combination."""
        jobs = BasicSweeper.split_arguments(overrides, None)[0]
        if not (directory.record.exists() and directory.jobs.exists()):
            return jobs
        if _swept(overrides) != _swept(self._overrides(directory.hydra()["sweeper"].get("params"), directory.task())):
            return jobs
        drawn = read_values(directory.jobs, _swept(overrides), self._trust(overrides))
        return [_with_values(jobs[0], values) for values in drawn]

    def _trust(self, overrides: list[Override]) -> Trust:
        """What the values of the jobs may name: what is trusted, and what the command line names itself."""
        return Trust(trusted(self.config.get("trust")), named_by([o.input_line or "" for o in overrides], []))

    def _overrides(self, params: Mapping[str, Any] | None, arguments: Sequence[str]) -> list[Override]:
        parser = OverridesParser.create(config_loader=self.loader)
        words = [f"{key}={value}" for key, value in (params or {}).items()]
        overrides = parser.parse_overrides([*words, *arguments])
        for override in overrides:
            if override.is_interval_sweep():
                raise ConfigError(f"{override.input_line}: a grid is of single values; hydra/sweeper=optuna searches")
        check_not_empty(overrides)
        return list({override.get_key_element(): override for override in overrides}.values())

    def _subdirectory(self, number: int, words: Words) -> str:
        """A job's folder; what cannot be composed is found before the first job starts."""
        config = self.loader.load_sweep_config(self.config, words)
        with open_dict(config):
            config.hydra.job.num = number
        return str(config.hydra.sweep.subdir)

    def _subdir(self) -> str:
        """`hydra.sweep.subdir`, as it was typed."""
        raw: Any = OmegaConf.to_container(self.config.hydra.sweep, resolve=False)
        return str(raw["subdir"])

    def _check_same(self, directory: SweepDirectory, began: dict[str, Any], jobs: list[Words]) -> None:
        overrides = self._overrides(began["sweeper"].get("params"), directory.task())
        theirs = [identity(words) for words in self._jobs(directory, overrides)]
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


def check_not_empty(overrides: Sequence[Override]) -> None:
    """Refuse a sweep over no value, which has no job.

    Raises:
        ConfigError: There is one; the message names it.
    """
    for override in overrides:
        of_values = override.is_sweep_override() and not override.is_interval_sweep()
        if of_values and not list(override.sweep_string_iterator()):
            raise ConfigError(f"{override.input_line}: has no value, so there is no job")


def _record(run: RunDirectory, words: Words, error: BaseException) -> None:
    """What a job that was killed could not write itself."""
    if not known_results(run.results) and not run.is_taken():
        run.write_results({"status": "failed", "error": str(error), "overrides": words})


def check_free(runs: list[RunDirectory]) -> None:
    """A new sweep writes over no run, and takes none for a job of its own."""
    for run in runs:
        if run.holds_a_run() or run.holds_results():
            raise RunError(f"{run.path}: holds a run already, not one of this sweep. Name another hydra.sweep.dir=…")


def _swept(overrides: list[Override]) -> dict[str, str]:
    """The overrides that vary, by key, as they were typed."""
    return {o.get_key_element(): o.input_line or "" for o in overrides if o.is_sweep_override()}


def _varied(overrides: list[Override], words: Words) -> Values:
    """A job's own values."""
    keys = _swept(overrides)
    return {key: value for key, _, value in (word.partition("=") for word in words) if key in keys}


def _with_values(words: Words, values: Values) -> Words:
    """A job's words, with other values."""
    keys = [word.partition("=")[0] for word in words]
    return [f"{key}={values[key]}" if key in values else word for key, word in zip(keys, words, strict=True)]


def identity(words: Words) -> Words:
    """What makes a job the same: machine, folders and what is shown may change."""
    return [word for word in words if not key_of(word).startswith((*ELSEWHERE, "trainer"))]


def told(words: Words) -> str:
    """Words in a message."""
    return " ".join(words) or "without overrides"


def _directions(directory: SweepDirectory) -> list[str]:
    return ["Go on with what is not completed:", f"  {directory.go_on}"]
