"""The jobs of a sweep. They are read from their run directories and grouped over their seeds."""

import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vae_exp.config.overrides import values_by_key
from vae_exp.config.stored import check_folder_name, read_overrides
from vae_exp.errors import RunError
from vae_exp.figures import published
from vae_exp.results.files import read_or_warn
from vae_exp.results.metrics import history, measure, standard_error
from vae_exp.results.numbers import rounded, shown
from vae_exp.results.run_directory import RunDirectory
from vae_exp.results.settings import LATER_SETTINGS
from vae_exp.results.summary import known_results

METHODS = {"sgvb_a": "aevb", "sgvb_b": "aevb", "wake_sleep": "wake-sleep", "mcem": "mcem"}
PAPER: dict[str, Any] = {
    "architecture": "vae",
    "architecture.beta": 1,
    "architecture.conditional": False,
    "dataset.binarization": "none",
    "dataset.validation_size": 0,
    "network": "mlp",
    "network.activation": "tanh",
    "posterior": "diagonal",
    "prior": "standard",
}
MNIST = {"dataset": "mnist", "likelihood": "bernoulli"}
FREY_FACE = {"dataset": "frey_face", "likelihood": "gaussian", "likelihood.variance": "learned"}
BOUND = {"figure": 2, "measure": "bound", "size": "architecture.latent_dim"}
LOG_LIKELIHOOD = {"figure": 3, "measure": "log_likelihood", "size": "dataset.train_size"}
PAPER_CURVES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("mnist", BOUND, MNIST | {"network.hidden_sizes": [500], "dataset.train_size": None}),
    ("frey", BOUND, FREY_FACE | {"network.hidden_sizes": [200], "dataset.train_size": None}),
    ("mnist", LOG_LIKELIHOOD, MNIST | {"network.hidden_sizes": [100], "architecture.latent_dim": 3}),
]
"""The paper's curves: the data set, the axes, and the settings that a run must have to be compared with the curve."""

COMPARED_SETTINGS = (
    "dataset",
    "dataset.source.path",
    "dataset.binarization",
    "dataset.dequantise",
    "likelihood",
    "given",
)
"""The settings that must be equal for values in nats to be comparable. Values cannot be compared if they are of other
images, if one is a density and the other a probability, or if one is of log p(x) and the other of log p(x|y)."""

GIVEN_LABELS = "log p(x|y)"
"""The quantity that the bound of a model limits if the model is given the labels.

Such a bound cannot be compared with a bound on log p(x).
"""

IRRELEVANT_TO_RESULTS = (
    "callbacks",
    "dataset.placement",
    "hydra",
    "logger",
    "name",
    "paths",
    "resume",
    "touch",
    "trust",
)
"""Config keys that do not affect the results. They may differ between jobs, e.g. after a resume on another machine."""

RUN_MARKERS = ("results.json", "checkpoints", ".hydra")
"""A directory that contains any of these is a run directory."""


@dataclass(frozen=True)
class Job:
    """One job of a sweep.

    Attributes:
        number: Its number in the sweep.
        path: Its run directory.
        overrides: Its overrides, key → value.
        results: `results.json`; if that is missing, the status `running` or `killed` and the last evaluation.
        history: `metrics.csv`, one dict per evaluation.
    """

    number: str
    path: Path
    overrides: dict[str, str]
    results: dict[str, Any]
    history: list[dict[str, float]]

    @property
    def completed(self) -> bool:
        """Whether the job has ended with all its results."""
        return bool(self.results["status"] == "completed")

    @property
    def shown(self) -> RunDirectory:
        """The directory with its metrics and pictures; for a run in stages, the last stage's directory."""
        return _shown(RunDirectory(self.path), self.results)

    @property
    def figures(self) -> Path:
        """The folder of its pictures; for a run in stages, the last stage's folder."""
        return self.shown.figures

    @property
    def has_report(self) -> bool:
        """Whether the job has a report.html."""
        return RunDirectory(self.path).report.exists()

    def value(self, key: str) -> str:
        """Return the value of a key: from the job's overrides, or else from its results."""
        return self.overrides.get(key, str(self.results.get(key, "")))

    def published(self, split: str) -> published.Curve | None:
        """Return the paper's curve of the same experiment, or None without one (arXiv 1312.6114, figures 2 and 3).

        A key that the results do not have is not equal to the paper's, such as `architecture.beta` of a run with a
        schedule of β.
        """
        for dataset, axes, settings in PAPER_CURVES:
            theirs = PAPER | settings
            same = all(key in self.results and self.results[key] == value for key, value in theirs.items())
            if same and self.measure(split)[0] == f"{split}/{axes['measure']}":
                method = METHODS.get(self.results.get("objective", ""), "")
                size: Any = self.results.get(axes["size"])
                return published.curve(axes["figure"], dataset, size, method, split)
        return None

    def measure(self, split: str) -> tuple[str, int]:
        """Return the metric that ranks the job on a split, and its sign (−1 if lower is better)."""
        return measure(self.results, split)

    @property
    def bounds(self) -> str | None:
        """The quantity that the bound of the job limits: `log p(x)` or `log p(x|y)`. None if it has no bound."""
        if "bounds" not in self.results and self.results.get("test/bound") is not None:  # a run of an earlier version
            return GIVEN_LABELS if self.results.get("architecture.conditional") else "log p(x)"
        return self.results.get("bounds")

    def judged_by(self, split: str) -> str:
        """Return the measure of a split. A bound on log p(x|y) is a different measure from a bound on log p(x)."""
        name = self.measure(split)[0].partition("/")[2]
        return f"{name} given y" if name in ("bound", "log_likelihood") and self.bounds == GIVEN_LABELS else name

    def has(self, metric: str) -> bool:
        """Tell whether the results contain a value of a metric."""
        return self.results.get(metric) is not None

    def compared_by(self, metric: str) -> dict[str, str]:
        """Return the metric and the settings its value depends on. Jobs can be ranked only if these are equal."""
        keys = COMPARED_SETTINGS[:2] if metric.endswith("/error") else COMPARED_SETTINGS
        values = LATER_SETTINGS | self.results | {"given": "the label" if self.bounds == GIVEN_LABELS else "nothing"}
        return {"metric": metric} | {key: str(values.get(key)) for key in keys}


class Group(list[Job]):
    """The completed jobs of one setting. They differ only in their seeds."""

    def mean(self, name: str, at: float | None = None) -> tuple[float, float] | None:
        """Compute the mean of a metric over the seeds and its standard error, or return None if no job has it.

        The standard error is 0 for a single job, because one job does not show how much the seeds matter.

        Args:
            name: The metric.
            at: The number of samples at which it is read; None for the end.
        """
        if at is None:
            values = [job.results.get(name) for job in self]
        else:
            values = [row.get(name) for job in self for row in job.history if row["samples"] == at]
        present = [value for value in values if value is not None]
        if not present:
            return None
        return statistics.fmean(present), _standard_error(present)

    def shown(self, name: str, factor: float = 1) -> str:
        """Format the mean of a metric over the seeds with its standard error; "" if no job has the metric.

        A single job has no ±. Its value has the digits that its standard error over the images allows.

        Args:
            name: The metric.
            factor: What the value is multiplied by, such as −1 if lower is better, or 100 for percent.
        """
        mean = self.mean(name)
        if mean is None:
            return ""
        if len(self) > 1:
            return shown(factor * mean[0], abs(factor) * mean[1])
        error = standard_error(self[0].results, name)
        return rounded(factor * mean[0], error and abs(factor) * error)

    def curve(self, name: str) -> list[tuple[float, float, float]]:
        """Return (samples, mean, standard error) for every number of samples at which all jobs were evaluated."""
        counts = [{row["samples"] for row in job.history if name in row} for job in self]
        shared = sorted(set.intersection(*counts)) if counts else []
        return [(n, *values) for n in shared if (values := self.mean(name, at=n))]


def _standard_error(values: list[float]) -> float:
    return statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0


def holds_a_run(path: Path) -> bool:
    """Tell whether a directory is a run directory, not a sweep directory."""
    return any((path / marker).exists() for marker in RUN_MARKERS)


def job_directories(path: Path) -> set[Path]:
    """Find the run directories of a sweep's jobs."""
    runs = {file.parent for mark in RUN_MARKERS for file in path.rglob(f"*/{mark}")}
    return {run for run in runs if runs.isdisjoint(run.parents)}  # a stage is part of a job, not a job


def read_jobs(path: str | Path) -> list[Job]:
    """Read every job of a sweep that was started, including failed ones, in the order of their numbers.

    Raises:
        RunError: The directory contains no run.
    """
    path = Path(path)
    jobs = job_directories(path)
    if not jobs:
        raise RunError(f"{path}: is not the directory of a sweep: it holds no run")
    names = {str(job.relative_to(path)): job for job in jobs}
    order = sorted(names, key=lambda name: (not name.isdigit(), int(name) if name.isdigit() else 0, name))
    return [read_job(names[name], name) for name in order]


def read_job(path: Path, number: str = "") -> Job:
    """Read one run, which may be unfinished. A file that cannot be read counts as missing, with a warning.

    Args:
        path: The run directory.
        number: The job's number in its sweep.
    """
    directory = RunDirectory(path)
    results = known_results(directory.results)
    rows = read_or_warn(history, _shown(directory, results).metrics) or []
    if "samples" not in results:  # the job ended before it could write its results
        results = (rows[-1] if rows else {}) | (results or _unfinished(directory))
    return Job(number, path, values_by_key(recorded_overrides(directory, results)), results, rows)


def recorded_overrides(directory: RunDirectory, results: dict[str, Any]) -> list[str]:
    """Return the overrides of a run: from its record, or else from its results."""
    recorded = read_or_warn(read_overrides, directory.overrides) if directory.overrides.exists() else None
    if recorded is not None:
        return recorded
    stored = results.get("overrides")
    return [str(override) for override in stored] if isinstance(stored, list) else []


def _shown(directory: RunDirectory, results: dict[str, Any]) -> RunDirectory:
    """Return the directory with the metrics and pictures: for a run in stages, the last stage's directory."""
    stage = results.get("stage")
    return (
        directory
        if stage is None
        else RunDirectory(directory.path / check_folder_name(stage, f"stage in {directory.results}"))
    )


def _unfinished(directory: RunDirectory) -> dict[str, Any]:
    if directory.is_in_use():
        return {"status": "running", "error": None}
    if directory.holds_a_run() and directory.overrides.exists():
        return {"status": "killed", "error": f"go on with: {directory.resume_command}"}
    return {"status": "killed", "error": "before the run began"}


def varied_keys(jobs: list[Job]) -> list[str]:
    """Return the keys whose values differ between the jobs, in the order of the overrides."""
    keys = dict.fromkeys(key for job in jobs for key in job.overrides)
    relevant = [key for key in keys if not key.startswith(IRRELEVANT_TO_RESULTS)]
    return [key for key in relevant if len({job.value(key) for job in jobs}) > 1]


def groups(jobs: list[Job]) -> dict[tuple[str, ...], Group]:
    """Group the completed jobs by their values of the varied keys without the seed."""
    keys = [key for key in varied_keys(jobs) if key != "seed"]
    by_values: dict[tuple[str, ...], Group] = {}
    for job in jobs:
        if job.completed:
            by_values.setdefault(tuple(job.value(key) for key in keys), Group()).append(job)
    return by_values


def comparable_groups(jobs: list[Job]) -> dict[str, list[Job]]:
    """Group the completed jobs that can be ranked with each other. The key names what distinguishes a group."""
    compared = {job.number: job.compared_by(job.measure("test")[0]) for job in jobs if job.completed}
    differ = [key for key in COMPARED_SETTINGS if len({values.get(key) for values in compared.values()}) > 1]
    by_name: dict[str, list[Job]] = {}
    for job in (job for job in jobs if job.completed):
        values = compared[job.number]
        name = ", ".join([values["metric"], *(f"{key}={values[key]}" for key in differ if key in values)])
        by_name.setdefault(name, []).append(job)
    return by_name
