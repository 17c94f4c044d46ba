"""The results of a search: its jobs, ranked on the validation split, which is used neither to train nor to test."""

from dataclasses import dataclass

from vae_exp.results.jobs import Job
from vae_exp.results.metrics import MEASURES, measure
from vae_exp.results.sweep_directory import SweepDirectory

METRICS = tuple(f"validation/{name}" for name in MEASURES)


@dataclass(frozen=True)
class Trial:
    """A completed job and the metric that ranks it."""

    job: Job
    metric: str
    value: float

    @property
    def compared_by(self) -> dict[str, str]:
        """The metric and the settings its value depends on. Trials can be ranked only if these are equal."""
        return self.job.compared_by(self.metric)

    @property
    def score(self) -> float:
        """The value with its sign such that higher is better."""
        return MEASURES[self.metric.partition("/")[2]] * self.value


def trials(directory: SweepDirectory, jobs: list[Job]) -> list[Trial]:
    """Return the completed jobs that can be ranked with the first of them.

    The metric is the search's own, or else the one that ranks their model. Jobs without it are left out.
    """
    metric_of_search = directory.hydra()["sweeper"].get("metric")
    ranked: list[Trial] = []
    for job in jobs:
        metric = metric_of_search or measure(job.results, "validation")[0]
        if job.completed and job.has(metric):
            trial = Trial(job, metric, job.results[metric])
            if not ranked or trial.compared_by == ranked[0].compared_by:
                ranked.append(trial)
    return ranked


def best(ranked: list[Trial]) -> Trial:
    """Return the trial with the highest score."""
    return max(ranked, key=lambda trial: trial.score)
