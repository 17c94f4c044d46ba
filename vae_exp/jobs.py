"""The jobs of a sweep: read from their run directories, grouped over their seeds."""

import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vae_exp import published
from vae_exp.config.stored import folder, read_words
from vae_exp.errors import RunError
from vae_exp.metrics import history, measure
from vae_exp.results.files import known
from vae_exp.results.summary import known_results
from vae_exp.run_directory import RunDirectory

METHODS = {"sgvb_a": "aevb", "sgvb_b": "aevb", "wake_sleep": "wake-sleep", "mcem": "mcem"}
PAPER: dict[str, Any] = {
    "architecture": "vae",
    "architecture.beta": 1,
    "architecture.conditional": False,
    "dataset.binarization": "none",
    "dataset.validation_size": 0,
    "network": "mlp",
    "network.activation": "tanh",
}
MNIST = {"dataset": "mnist", "likelihood": "bernoulli"}
FREY_FACE = {"dataset": "frey_face", "likelihood": "gaussian", "likelihood.variance": "learned"}
BOUND = {"figure": 2, "measure": "bound", "size": "architecture.latent_dim"}
LOG_LIKELIHOOD = {"figure": 3, "measure": "log_likelihood", "size": "dataset.train_size"}
CURVES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("mnist", BOUND, MNIST | {"network.hidden_sizes": [500], "dataset.train_size": None}),
    ("frey", BOUND, FREY_FACE | {"network.hidden_sizes": [200], "dataset.train_size": None}),
    ("mnist", LOG_LIKELIHOOD, MNIST | {"network.hidden_sizes": [100], "architecture.latent_dim": 3}),
]
"""The paper's curves, what they show against what, and the settings that a run has to share to be held against them."""

COMPARED = ("dataset", "dataset.binarization", "likelihood", "given")
"""What a number of nats is of: numbers of other images, of a density and a probability, or of log p(x) and log p(x|y),
cannot be compared."""

GIVEN_LABELS = "log p(x|y)"
"""What a model bounds that is told the labels; it cannot be compared with a bound on log p(x)."""

ELSEWHERE = ("callbacks", "hydra", "logger", "name", "paths", "resume", "trust")
"""Keys that no number depends on; a job that was resumed on another machine may have its own."""

MARKS = ("results.json", "checkpoints", ".hydra")
"""What a run directory is known by: any of these."""


@dataclass(frozen=True)
class Job:
    """One job of a sweep.

    Attributes:
        number: Its own among the jobs.
        path: Its run directory.
        overrides: What was typed for it.
        results: `results.json`; where there is none, the status `running` or `killed` and the last evaluation.
        history: `metrics.csv`, a dict per evaluation.
    """

    number: str
    path: Path
    overrides: dict[str, str]
    results: dict[str, Any]
    history: list[dict[str, float]]

    @property
    def completed(self) -> bool:
        """Whether it has its numbers."""
        return bool(self.results["status"] == "completed")

    @property
    def figures(self) -> Path:
        """Its pictures; of a run in stages the last one's."""
        return _shown(RunDirectory(self.path), self.results).figures

    @property
    def has_report(self) -> bool:
        """Whether there is a page of it to go to."""
        return RunDirectory(self.path).report.exists()

    def value(self, key: str) -> str:
        """What a key stands at: as it was typed for this job, else as its results have it."""
        return self.overrides.get(key, str(self.results.get(key, "")))

    def published(self, split: str) -> published.Curve | None:
        """The paper's curve of the same experiment, where there is one (arXiv 1312.6114, figures 2 and 3)."""
        for dataset, axes, settings in CURVES:
            same = all(self.results.get(key, value) == value for key, value in (PAPER | settings).items())
            if same and self.measure(split)[0] == f"{split}/{axes['measure']}":
                method = METHODS.get(self.results["objective"], "")
                return published.curve(axes["figure"], dataset, self.results[axes["size"]], method, split)
        return None

    def measure(self, split: str) -> tuple[str, int]:
        """The metric that it is judged by on a split, and its sign where higher shall be better."""
        return measure(self.results, split)

    @property
    def bounds(self) -> str | None:
        """What its bound is one on; None where it has none."""
        if "bounds" not in self.results and self.results.get("test/bound") is not None:  # of an earlier version
            return GIVEN_LABELS if self.results.get("architecture.conditional") else "log p(x)"
        return self.results.get("bounds")

    def judged_by(self, split: str) -> str:
        """What a split's number measures; a bound on log p(x|y) is another measure than one on log p(x)."""
        name = self.measure(split)[0].partition("/")[2]
        return f"{name} given y" if name in ("bound", "log_likelihood") and self.bounds == GIVEN_LABELS else name

    def has(self, metric: str) -> bool:
        """Whether it has a value of a metric."""
        return self.results.get(metric) is not None

    def compared_by(self, metric: str) -> dict[str, str]:
        """The metric and what it is of: only jobs that share all of it can be ranked."""
        of = COMPARED[:1] if metric.endswith("/error") else COMPARED
        known = self.results | {"given": "the label" if self.bounds == GIVEN_LABELS else "nothing"}
        return {"metric": metric} | {key: str(known.get(key)) for key in of}


class Group(list[Job]):
    """The completed jobs of one setting: they differ in their seeds alone."""

    def mean(self, name: str, at: float | None = None) -> tuple[float, float] | None:
        """Mean and standard deviation of a metric at the end, or at a count of samples; None where it is missing."""
        if at is None:
            values = [job.results.get(name) for job in self]
        else:
            values = [row.get(name) for job in self for row in job.history if row["samples"] == at]
        known = [value for value in values if value is not None]
        if not known:
            return None
        return statistics.fmean(known), statistics.stdev(known) if len(known) > 1 else 0.0

    def curve(self, name: str) -> list[tuple[float, float, float]]:
        """Samples, mean and standard deviation, at every count that all of them have."""
        counts = [{row["samples"] for row in job.history if name in row} for job in self]
        shared = sorted(set.intersection(*counts)) if counts else []
        return [(n, *values) for n in shared if (values := self.mean(name, at=n))]


def read_jobs(path: str | Path) -> list[Job]:
    """Every job of a sweep that began, those that failed too, in the order of their numbers.

    Raises:
        RunError: There is none.
    """
    path = Path(path)
    runs = {file.parent for mark in MARKS for file in path.rglob(f"*/{mark}")}
    found = {run for run in runs if runs.isdisjoint(run.parents)}  # a stage is no job of its own
    if not found:
        raise RunError(f"{path}: is not the directory of a sweep: it holds no run")
    names = {str(job.relative_to(path)): job for job in found}
    order = sorted(names, key=lambda name: (not name.isdigit(), int(name) if name.isdigit() else 0, name))
    return [read_job(names[name], name) for name in order]


def read_job(path: Path, number: str = "") -> Job:
    """One run, however far it is. A file of it that cannot be read counts as missing, with a warning.

    Args:
        path: The run directory.
        number: What it is called among the jobs of its sweep.
    """
    directory = RunDirectory(path)
    results = known_results(directory.results)
    rows = known(history, _shown(directory, results).metrics) or []
    if "samples" not in results:  # it could not write them itself
        results = (rows[-1] if rows else {}) | (results or _unfinished(directory))
    words = typed_for(directory, results)
    overrides = dict(word.lstrip("+~").partition("=")[::2] for word in words)
    return Job(number, path, overrides, results, rows)


def typed_for(directory: RunDirectory, results: dict[str, Any]) -> list[str]:
    """What was typed for a run: its record, else as its results have it."""
    recorded = known(read_words, directory.overrides) if directory.overrides.exists() else None
    if recorded is not None:
        return recorded
    stored = results.get("overrides")
    return [str(word) for word in stored] if isinstance(stored, list) else []


def _shown(directory: RunDirectory, results: dict[str, Any]) -> RunDirectory:
    """Where what it shows lies: of a run in stages in the last one's folder."""
    stage = results.get("stage")
    return directory if stage is None else RunDirectory(directory.path / folder(stage, f"stage in {directory.results}"))


def _unfinished(directory: RunDirectory) -> dict[str, Any]:
    if directory.is_taken():
        return {"status": "running", "error": None}
    if directory.holds_a_run() and directory.overrides.exists():
        return {"status": "killed", "error": f"go on with: {directory.go_on}"}
    return {"status": "killed", "error": "before it had begun"}


def varied(jobs: list[Job]) -> list[str]:
    """The keys whose values differ between the jobs, in the order in which they were typed."""
    keys = dict.fromkeys(key for job in jobs for key in job.overrides)
    return [key for key in keys if not key.startswith(ELSEWHERE) and len({job.value(key) for job in jobs}) > 1]


def groups(jobs: list[Job]) -> dict[tuple[str, ...], Group]:
    """The completed jobs by what was varied but the seed."""
    keys = [key for key in varied(jobs) if key != "seed"]
    found: dict[tuple[str, ...], Group] = {}
    for job in jobs:
        if job.completed:
            found.setdefault(tuple(job.value(key) for key in keys), Group()).append(job)
    return found


def leagues(jobs: list[Job]) -> dict[str, list[Job]]:
    """The completed jobs that can be ranked with each other, under what tells them from the others."""
    by = {job.number: job.compared_by(job.measure("test")[0]) for job in jobs if job.completed}
    differ = [key for key in ("metric", *COMPARED) if len({one.get(key) for one in by.values()}) > 1]
    found: dict[str, list[Job]] = {}
    for job in (job for job in jobs if job.completed):
        one = by[job.number]
        name = ", ".join([one["metric"], *(f"{key}={one[key]}" for key in differ if key != "metric" and key in one)])
        found.setdefault(name, []).append(job)
    return found
