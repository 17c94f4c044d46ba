"""The default sweeper: a grid of jobs as Hydra's own, but it can be resumed and reports every failure."""

import json
import logging
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import product
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from vae_exp.cli.launch import check_launcher
from vae_exp.cli.sweep import failure, report_at_end
from vae_exp.config.overrides import Override, key_of, parse, parse_sweep, quoted
from vae_exp.config.replay import targets_named_by
from vae_exp.config.trust import Trust, trusted_packages
from vae_exp.errors import ConfigError, Interrupted, RunError, UserError
from vae_exp.results.files import write_atomically
from vae_exp.results.folders import Values, check_apart, read_values
from vae_exp.results.jobs import IRRELEVANT_TO_RESULTS
from vae_exp.results.run_directory import RunDirectory
from vae_exp.results.summary import known_results
from vae_exp.results.sweep_directory import SweepDirectory

log = logging.getLogger(__name__)

Overrides = list[str]
"""The overrides of a job."""

BY_NUMBER = "${hydra.job.num}"
"""The default of `hydra.sweep.subdir`."""

Runs = dict[RunDirectory, Overrides]
Failures = dict[RunDirectory, BaseException]


class JobSweeper(Sweeper):
    """What every sweep needs: its directory, its jobs' directories, the run of those that are not completed, the table.

    Args:
        params: Key → values, from a yaml. Overrides on the command line take precedence.
    """

    config: DictConfig
    launcher: Launcher

    def __init__(self, params: Mapping[str, Any] | None = None) -> None:
        self.params = params
        self._groups: set[str] = set()
        self._composed: set[tuple[str, ...]] = set()

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Build the launcher.

        Raises:
            ConfigError: A key of it is not allowed.
        """
        # the directory's name may contain the choice of a group, and Hydra 1.3 sets its config only inside a job
        HydraConfig.instance().set_config(config)
        self.config = config
        self.loader = hydra_context.config_loader
        check_launcher(config)
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def _directory(self) -> SweepDirectory:
        return SweepDirectory(RunDirectory(self.config.hydra.sweep.dir).path)

    @contextmanager
    def _begun(
        self, directory: SweepDirectory, check_same: Callable[[dict[str, Any]], None], prepare: Callable[[], None]
    ) -> Iterator[None]:
        """Lock the directory, which must be new or belong to this sweep. Write the table after the `with` block.

        Args:
            directory: The directory of the sweep.
            check_same: Called with Hydra's recorded config if the sweep is resumed. Raises if the sweep differs.
            prepare: Called if the sweep is new, before its record is written.
        """
        with directory.locked():
            if directory.record.exists():
                began = directory.hydra()
                ours = self.config.hydra.runtime.choices["hydra/sweeper"]
                theirs = (began["runtime"].get("choices") or {}).get("hydra/sweeper")
                if theirs != ours:
                    raise self._another(directory, f"it has hydra/sweeper={theirs}, not {ours}")
                check_same(began)
            else:
                prepare()
                write_atomically(directory.record, OmegaConf.to_yaml(self.config))
            with report_at_end(directory.path):
                yield

    def _runs(self, directory: SweepDirectory, jobs: list[Overrides], before: Runs | None = None) -> Runs:
        """Return each job's overrides by its run directory, with the jobs in `before` first.

        Raises:
            ConfigError: Two jobs would share a directory.
        """
        runs = list((before or {}).items())
        for number, overrides in enumerate(jobs, len(runs)):
            runs.append((RunDirectory(directory.path / self._subdirectory(number, overrides)), overrides))
        check_apart({number: run.path for number, (run, _) in enumerate(runs)}, directory.path, self._subdir())
        return dict(runs)

    def _trust(self, overrides: list[Override]) -> Trust:
        """Return what the jobs' values may name: the packages of `trust=`, and the `_target_`s on the command line."""
        return Trust(
            trusted_packages(self.config.get("trust")), targets_named_by([override.text for override in overrides], [])
        )

    def _subdirectory(self, number: int, overrides: Overrides) -> str:
        """Compose a job's config and return its folder. So errors in a config appear before the first job starts.

        If the folder is the job's number, one of the jobs that choose the same parts is enough: in composition, other
        values of the same keys cause no other errors.
        """
        if self._subdir() == BY_NUMBER and self._chosen(overrides) in self._composed:
            return str(number)
        config = self.loader.load_sweep_config(self.config, overrides)
        with open_dict(config):
            config.hydra.job.num = number
        self._groups.update(group.partition("@")[0] for group in config.hydra.runtime.choices)
        self._composed.add(self._chosen(overrides))
        return str(config.hydra.sweep.subdir)

    def _chosen(self, overrides: Overrides) -> tuple[str, ...]:
        """Return the choices of parts, and the keys of all other overrides."""
        parsed = map(parse, overrides)
        return tuple(one.text if one.key_or_group in self._groups else one.signed_key for one in parsed)

    def _subdir(self) -> str:
        """Return the text of `hydra.sweep.subdir`, not resolved."""
        raw: Any = OmegaConf.to_container(self.config.hydra.sweep, resolve=False)
        return str(raw["subdir"])

    def _another(self, directory: SweepDirectory, difference: str) -> RunError:
        return RunError(
            f"sweep.resume={directory.path}: belongs to another sweep: {difference}. Go on with that one "
            f"({directory.resume_command}) or name another folder (hydra.sweep.dir=…)"
        )

    def _run(self, directory: SweepDirectory, jobs: Runs) -> tuple[list[JobReturn], Failures]:
        """Run the jobs that are not completed. Return their results, and the errors of those that failed."""
        unfinished = {run: overrides for run, overrides in jobs.items() if not run.is_completed()}
        if len(unfinished) < len(jobs):
            names = ", ".join(run.path.name for run in unfinished) or "none"
            log.info("%d of %d jobs are completed; left: %s", len(jobs) - len(unfinished), len(jobs), names)
        returns = self._launch(directory, unfinished)
        failures = {}
        for (run, overrides), job in zip(unfinished.items(), returns, strict=True):
            if job.status != JobStatus.COMPLETED:
                failures[run] = failure(job)
                _record(run, overrides, failures[run])
        return returns, failures

    def _check_failures(self, directory: SweepDirectory, jobs: Runs, failures: Failures) -> None:
        if failures:
            lines = [f"  job {run.path.name} ({join_overrides(jobs[run])}): {error}" for run, error in failures.items()]
            head = f"{len(failures)} of {len(jobs)} jobs failed:"
            raise RunError("\n".join([head, *lines, *_directions(directory)])) from next(iter(failures.values()))

    def _launch(self, directory: SweepDirectory, jobs: Runs) -> list[JobReturn]:
        if not jobs:
            return []
        parent = f"hydra.sweep.dir={quoted(str(directory.path))}"
        overrides = [
            [*job, parent, f"hydra.sweep.subdir={quoted(str(run.path.relative_to(directory.path)))}"]
            for run, job in jobs.items()
        ]
        try:
            return list(self.launcher.launch(overrides, initial_job_idx=0))
        except Interrupted as interruption:
            message = "\n".join([str(interruption), *_directions(directory)])
            raise Interrupted(interruption.signal_number, message) from None
        except (KeyboardInterrupt, SystemExit):  # Lightning turns a KeyboardInterrupt into a SystemExit
            raise Interrupted(signal.SIGINT, "\n".join(["Interrupted.", *_directions(directory)])) from None
        except UserError:
            raise
        except Exception as error:
            choice = self.config.hydra.runtime.choices["hydra/launcher"]
            message = f"hydra/launcher={choice}: gave up: {type(error).__name__}: {error}"
            raise RunError("\n".join([message, *_directions(directory)])) from error


class GridSweeper(JobSweeper):
    """Run one job for every combination of values. In the directory of the same sweep, run only the unfinished jobs.

    Args:
        params: Key → values, from a yaml. Overrides on the command line take precedence.
    """

    def sweep(self, arguments: list[str]) -> list[JobReturn]:
        """Run the jobs that are not completed, and write the table even if the sweep fails.

        Raises:
            RunError: A job failed, the directory belongs to another sweep, or another process is in it.
            Interrupted: SIGINT or SIGTERM arrived.
        """
        directory = self._directory()
        overrides = self._overrides(self.params, arguments)
        jobs = self._jobs(directory, overrides)
        runs = self._runs(directory, jobs)

        def prepare() -> None:
            check_free([RunDirectory(directory.path), *runs])
            write_atomically(directory.jobs, json.dumps([_varied(overrides, job) for job in jobs], indent=2) + "\n")

        with self._begun(directory, lambda began: self._check_same(directory, began, jobs), prepare):
            returns, failures = self._run(directory, runs)
            self._check_failures(directory, runs, failures)
            return returns

    def _jobs(self, directory: SweepDirectory, overrides: list[Override]) -> list[Overrides]:
        """Return each job's overrides: the recorded values of a resumed sweep, or else every combination."""
        jobs = [list(job) for job in product(*(_choices(override, self.loader) for override in overrides))]
        if not (directory.record.exists() and directory.jobs.exists()):
            return jobs
        if _swept(overrides) != _swept(self._overrides(directory.hydra()["sweeper"].get("params"), directory.task())):
            return jobs
        recorded = read_values(directory.jobs, _swept(overrides), self._trust(overrides))
        return [with_values(map(parse, jobs[0]), values) for values in recorded]

    def _overrides(self, params: Mapping[str, Any] | None, arguments: Sequence[str]) -> list[Override]:
        """Parse the overrides of `params` and of the command line."""
        overrides = parse_sweep(params, arguments)
        for override in overrides:
            if override.is_interval:
                raise ConfigError(f"{override.text}: a grid is of single values; hydra/sweeper=optuna searches")
        check_not_empty(overrides, self.loader)
        return overrides

    def _check_same(self, directory: SweepDirectory, began: dict[str, Any], jobs: list[Overrides]) -> None:
        overrides = self._overrides(began["sweeper"].get("params"), directory.task())
        recorded = [identifying_overrides(job) for job in self._jobs(directory, overrides)]
        ours = [identifying_overrides(job) for job in jobs]
        if len(recorded) != len(ours):
            raise self._another(directory, f"it has {len(recorded)} jobs, not {len(ours)}")
        for i, (old, new) in enumerate(zip(recorded, ours, strict=True)):
            if old != new:
                raise self._another(directory, f"its job {i} is {join_overrides(old)}, not {join_overrides(new)}")


def check_not_empty(overrides: Sequence[Override], loader: ConfigLoader | None = None) -> None:
    """Refuse a sweep over an empty list of values, which has no jobs.

    Args:
        overrides: The overrides of the sweep.
        loader: Lists the options of a group, for `glob(…)`.

    Raises:
        ConfigError: An override has no value. The message names it.
    """
    for override in overrides:
        if override.is_sweep and not override.is_interval and not override.choices(loader):
            raise ConfigError(f"{override.text}: has no value, so there is no job")


def _record(run: RunDirectory, overrides: Overrides, error: BaseException) -> None:
    """Write the results of a job that was killed before it could write them itself."""
    if not known_results(run.results) and not run.is_in_use():
        run.write_results({"status": "failed", "error": str(error), "overrides": overrides})


def check_free(runs: list[RunDirectory]) -> None:
    """Refuse a new sweep in folders that hold runs: it would overwrite them or count them as its own jobs."""
    for run in runs:
        if run.holds_a_run() or run.holds_results():
            raise RunError(f"{run.path}: holds a run already, not one of this sweep. Name another hydra.sweep.dir=…")


def _choices(override: Override, loader: ConfigLoader) -> Overrides:
    """Return the text of an override once for each of its values."""
    parsed = override.for_hydra(loader)
    if override.is_sweep:
        return [override.with_value(value) for value in parsed.sweep_string_iterator()]
    return [override.with_value(parsed.get_value_element_as_str())]


def _swept(overrides: list[Override]) -> dict[str, str]:
    """Return the text of the overrides that vary, by key."""
    return {override.signed_key: override.text for override in overrides if override.is_sweep}


def _varied(overrides: list[Override], job: Overrides) -> Values:
    """Return a job's values of the keys that vary."""
    keys = _swept(overrides)
    return {override.signed_key: override.value_text for override in map(parse, job) if override.signed_key in keys}


def with_values(overrides: Iterable[Override], values: Values) -> Overrides:
    """Return the texts of overrides, with other values for the keys that are in `values`."""
    return [
        override.with_value(values[override.signed_key]) if override.signed_key in values else override.text
        for override in overrides
    ]


def identifying_overrides(overrides: Overrides) -> Overrides:
    """Return the overrides that identify a job. Those for the machine, folders, logging and output may change."""
    return [override for override in overrides if not key_of(override).startswith((*IRRELEVANT_TO_RESULTS, "trainer"))]


def join_overrides(overrides: Overrides) -> str:
    """Join overrides for a message."""
    return " ".join(overrides) or "without overrides"


def _directions(directory: SweepDirectory) -> list[str]:
    return ["Go on with what is not completed:", f"  {directory.resume_command}"]
