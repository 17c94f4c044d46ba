"""A sweep as an object: its table, its picture, its best run."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vae_exp.errors import ConfigError, RunError, nearest_first
from vae_exp.figures.figure import Figure
from vae_exp.results.curves import pictures
from vae_exp.results.jobs import COMPARED_SETTINGS, Job, read_jobs
from vae_exp.results.metrics import SPLITS, better
from vae_exp.results.notebook import table
from vae_exp.results.run import Run
from vae_exp.results.tables import rows, summary, title, unit


@dataclass(frozen=True, repr=False)
class Sweep:
    """A sweep, or what it has done so far.

    Attributes:
        path: The sweep directory. It also has the tables, pictures and the report as files.
        load: Loads the run of a directory.
    """

    path: Path
    load: Callable[[Path], Run]

    @cached_property
    def jobs(self) -> list[Job]:
        """The jobs that were started, in the order of their numbers.

        Raises:
            RunError: None was.
        """
        return read_jobs(self.path)

    @property
    def table(self) -> Any:
        """The rows of `sweep.csv`, one per job: a pandas DataFrame if pandas is installed, else a list of dicts."""
        if find_spec("pandas") is None:
            return rows(self.jobs)
        import pandas as pd

        return pd.DataFrame(rows(self.jobs))

    def plot(self) -> Figure:
        """Draw the curves of all settings, or the values that a search tried.

        Raises:
            ConfigError: There is nothing to draw.
        """
        for _, figure in pictures(self.path, self.jobs):
            return figure
        raise ConfigError(f"{self.path}: there is nothing to draw: no job has been evaluated")

    def best(self, metric: str) -> Run:
        """Load the completed run with the best value of a metric. Whether higher or lower is better follows from it.

        Args:
            metric: A metric of `table`, such as `validation/bound`.

        Raises:
            ConfigError: No job has the metric, it is of the test split, it is not known which values are better, or the
                jobs have values of different kinds.
            RunError: The run cannot be loaded.
        """
        return self.load(self._best(metric).path)

    def _best(self, metric: str) -> Job:
        completed = [job for job in self.jobs if job.completed]
        if not completed:
            raise RunError(f"{self.path}: no job is completed")
        having = [job for job in completed if job.has(metric) and isinstance(job.results[metric], int | float)]
        _check_metric(metric, completed, bool(having))
        compared = [job.compared_by(metric) for job in having]
        differ = [key for key in COMPARED_SETTINGS if len({values.get(key) for values in compared}) > 1]
        if differ:
            raise ConfigError(f"{metric}: cannot be compared between jobs with different values of {', '.join(differ)}")
        return max(having, key=lambda job: better(metric) * job.results[metric])

    def __repr__(self) -> str:
        return f"Sweep({str(self.path)!r}, {self._progress()})"

    def _repr_html_(self) -> str:
        columns, cells = summary(self.jobs)
        kept = [i for i in range(len(columns)) if any(row[i] for row in cells)]
        shown = [[row[i] for i in kept] for row in cells]
        done = f"{self._progress()}. {unit(self.jobs)}"
        numbers = table([columns[i] for i in kept], shown)
        return f"<div>{table([title(self.path)], [[done]])}{numbers}{table([], [[self.path]])}</div>"

    def _progress(self) -> str:
        return f"{sum(job.completed for job in self.jobs)} of {len(self.jobs)} jobs completed"


def _check_metric(metric: str, jobs: list[Job], known: bool) -> None:
    """Refuse a metric that cannot choose a run."""
    split, _, name = metric.rpartition("/")
    present = {key for job in jobs for key in job.results if key.partition("/")[0] in SPLITS and better(key)}
    allowed = nearest_first(metric, {key for key in present if not key.startswith("test/")})
    held_out = any(key.startswith("validation/") for key in allowed)
    if split == "test":
        raise ConfigError(
            f"{metric}: if the test split were used to choose, its {name} would no longer be that of unseen images. "
            f'Use {"" if held_out else "dataset.validation_size=10000 and "}best("validation/{name}")'
        )
    if not known or not better(metric):
        reason = "it is not known which values are better" if known else "no completed job has it"
        hint = "" if held_out else ". dataset.validation_size=10000 gives a validation split"
        raise ConfigError(f"{metric}: {reason}. Allowed: {', '.join(allowed) or 'none'}{hint}")
