"""What a search has found: its jobs, judged by images that were neither trained on nor tested on."""

from dataclasses import dataclass

from vae_exp.jobs import Job
from vae_exp.metrics import MEASURES, measure
from vae_exp.sweep_directory import SweepDirectory

METRICS = tuple(f"validation/{name}" for name in MEASURES)


@dataclass(frozen=True)
class Trial:
    """A completed job and the metric that it is judged by."""

    job: Job
    metric: str
    value: float

    @property
    def compared_by(self) -> dict[str, str]:
        """What two trials share that can be ranked."""
        return self.job.compared_by(self.metric)

    @property
    def score(self) -> float:
        """The value, its sign such that higher is better."""
        return MEASURES[self.metric.partition("/")[2]] * self.value


def trials(directory: SweepDirectory, jobs: list[Job]) -> list[Trial]:
    """The completed jobs that have the metric, the search's own or what their model is judged by.

    They can be ranked: all are compared by the same as the first.
    """
    asked = directory.hydra()["sweeper"].get("metric")
    found: list[Trial] = []
    for job in jobs:
        metric = asked or measure(job.results, "validation")[0]
        if job.completed and job.has(metric):
            trial = Trial(job, metric, job.results[metric])
            if not found or trial.compared_by == found[0].compared_by:
                found.append(trial)
    return found


def best(found: list[Trial]) -> Trial:
    """The trial with the highest score."""
    return max(found, key=lambda trial: trial.score)
