"""A sweep's directory as a table and a picture: `python -m vae_exp.sweep <dir>` makes them again.

`sweep.csv` has a row per job, `sweep.md` the means over the seeds beside the paper's, `figure2.png` the curves;
the jobs' samples and manifolds are put beside each other.
"""

import csv
import io
import json
import logging
import statistics
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from vae_exp import published
from vae_exp.errors import RunError
from vae_exp.metrics import read_metrics, write_atomically
from vae_exp.run_directory import RunDirectory

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from vae_exp.figures.curves import Panel

log = logging.getLogger(__name__)

METHODS = {"sgvb_a": "aevb", "sgvb_b": "aevb", "wake_sleep": "wake-sleep"}
PAPER = {"mnist": ("mnist", "bernoulli", [500]), "frey_face": ("frey", "gaussian", [200])}
FIRST = ("samples", "step", "train/bound", "validation/bound", "test/bound")
LAST = ("steps_per_second", "train_seconds", "device", "git_revision", "error")
KILLED = "killed"
PICTURES = ("samples.png", "manifold.png")


@dataclass(frozen=True)
class Job:
    """One job of a sweep.

    Attributes:
        number: Its own among the jobs.
        path: Its run directory.
        overrides: What was typed for it.
        results: `results.json`; with the status `killed` where there is none.
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

    def published(self, split: str) -> published.Curve | None:
        """The paper's curve of the same experiment, where there is one (arXiv 1312.6114, figure 2)."""
        r = self.results
        dataset, likelihood, hidden = PAPER.get(r.get("dataset", ""), ("", "", []))
        same = r.get("architecture") == "vae" and r.get("architecture.beta") == 1 and r.get("network") == "mlp"
        if not same or r["likelihood"] != likelihood or r["network.hidden_sizes"] != hidden:
            return None
        return published.curve(2, dataset, r["latent_dim"], METHODS.get(r["objective"], ""), split)


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
    """Every job of a sweep, those that failed too, in the order of their numbers.

    Raises:
        RunError: There is none.
    """
    found = [job for job in Path(path).glob("*") if (job / "results.json").exists() or (job / "checkpoints").is_dir()]
    if not found:
        raise RunError(f"{path}: is not the directory of a sweep: it holds no run")
    found.sort(key=lambda job: (not job.name.isdigit(), int(job.name) if job.name.isdigit() else 0, job.name))
    return [_read_job(RunDirectory(job)) for job in found]


def _read_job(directory: RunDirectory) -> Job:
    history = read_metrics(directory.metrics) if directory.metrics.exists() else []
    if directory.results.exists():
        results = json.loads(directory.results.read_text())
    else:
        results = {"status": KILLED, "error": f"no results.json; go on with: {directory.go_on}"}
        results |= history[-1] if history else {}
    if directory.overrides.exists():
        words = [str(word) for word in OmegaConf.load(directory.overrides)]
    else:
        words = results.get("overrides") or []
    overrides = dict(word.lstrip("+~").partition("=")[::2] for word in words)
    return Job(directory.path.name, directory.path, overrides, results, history)


def varied(jobs: list[Job]) -> list[str]:
    """The keys whose values differ between the jobs, in the order in which they were typed."""
    keys = dict.fromkeys(key for job in jobs for key in job.overrides)
    return [key for key in keys if len({job.overrides.get(key) for job in jobs}) > 1]


def groups(jobs: list[Job]) -> dict[tuple[str, ...], Group]:
    """The completed jobs by what was varied but the seed."""
    keys = [key for key in varied(jobs) if key != "seed"]
    found: dict[tuple[str, ...], Group] = {}
    for job in jobs:
        if job.completed:
            found.setdefault(tuple(job.overrides.get(key, "") for key in keys), Group()).append(job)
    return found


def rows(jobs: list[Job]) -> list[dict[str, Any]]:
    """`sweep.csv`: every job, its varied values, its status, and every metric that any of them has."""
    keys = varied(jobs)
    metrics = sorted({n for job in jobs for n in job.results if n.partition("/")[0] in ("train", "validation", "test")})
    names = [*FIRST, *(name for name in metrics if name not in FIRST), *LAST]
    return [
        {"job": job.number, "status": job.results["status"]}
        | {key: job.overrides.get(key) for key in keys}
        | {name: job.results.get(name) for name in names}
        | {"directory": str(job.path)}
        for job in jobs
    ]


def report(path: str | Path) -> Path:
    """Write `sweep.csv`, `sweep.md` and the pictures of a sweep's directory.

    Returns:
        `sweep.md`.

    Raises:
        RunError: It holds no run.
    """
    path, jobs = Path(path), read_jobs(path)
    table = rows(jobs)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(table[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    write_atomically(path / "sweep.csv", text.getvalue())
    write_atomically(path / "sweep.md", markdown(path, jobs))
    if any(job.completed and job.history for job in jobs):
        bound_curves_of(jobs, title(path)).savefig(path / "figure2.png", dpi=150, bbox_inches="tight")
    for name in PICTURES:
        pictures = {label(values): group[0].path / "figures" / name for values, group in groups(jobs).items()}
        pictures = {setting: picture for setting, picture in pictures.items() if picture.exists()}
        if len(pictures) > 1:
            from vae_exp.figures.images import collage

            collage(pictures, title(path)).savefig(path / name, dpi=150, bbox_inches="tight")
    return path / "sweep.md"


def label(values: tuple[str, ...]) -> str:
    """A setting is called by its values."""
    return ", ".join(values)


def title(path: Path) -> str:
    """A sweep is called by its experiment and its own folder."""
    return f"{path.absolute().parent.name}/{path.absolute().name}"


def markdown(path: Path, jobs: list[Job]) -> str:
    """`sweep.md`: the means over the seeds, beside the paper's bound at the same number of samples; the failures."""
    keys = [key for key in varied(jobs) if key != "seed"]
    head = [*keys, "runs", "samples", "train", "test", "paper, test", "test − paper", "steps/s", "minutes"]
    lines = [f"# {title(path)}", "", f"{sum(j.completed for j in jobs)} of {len(jobs)} jobs completed. {_origin(jobs)}"]
    lines += ["", f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for values, group in groups(jobs).items():
        lines.append(f"| {' | '.join([*values, *_cells(group)])} |")
    lines += ["", "Bounds in nats per image, higher is better (−nll where the code has no prior); ± is over seeds."]
    failed = [job for job in jobs if not job.completed]
    if failed:
        lines += ["", "## Not completed", "", "| job | status | overrides | reason |", "|---|---|---|---|"]
        for job in failed:
            words = " ".join(f"{key}={value}" for key, value in job.overrides.items())
            reason = " ".join(str(job.results.get("error")).split()).replace("|", "\\|")
            lines.append(f"| {job.number} | {job.results['status']} | {words} | {reason} |")
    return "\n".join([*lines, ""])


def _cells(group: Group) -> list[str]:
    job = group[0]
    samples = job.results["samples"]
    curve = job.published("test")
    theirs = None if curve is None else curve.at(samples)
    train, test = (group.mean(f"{split}/bound") or _negative(group.mean(f"{split}/nll")) for split in ("train", "test"))
    speed, seconds = group.mean("steps_per_second"), group.mean("train_seconds")
    return [
        str(len(group)),
        f"{samples:,}",
        _number(train),
        _number(test),
        f"{theirs:.1f}" if theirs is not None else "",
        f"{test[0] - theirs:+.1f}" if theirs is not None and test else "",
        f"{speed[0]:.0f}" if speed else "",
        f"{seconds[0] / 60:.1f}" if seconds else "",
    ]


def _negative(values: tuple[float, float] | None) -> tuple[float, float] | None:
    return values and (-values[0], values[1])


def _number(values: tuple[float, float] | None) -> str:
    if values is None:
        return ""
    mean, deviation = values
    return f"{mean:.2f} ± {deviation:.2f}" if deviation else f"{mean:.2f}"


def _origin(jobs: list[Job]) -> str:
    """Commit, device and versions, each once."""
    names = ("git_revision", "device", "version/torch")
    found = [", ".join(sorted({str(job.results[name]) for job in jobs if job.results.get(name)})) for name in names]
    return f"Commit {found[0] or 'unknown'}; {found[1]}; torch {found[2]}."


def panels(jobs: list[Job]) -> "list[Panel]":
    """What `figure2.png` draws: a panel per latent size, in it every setting's curves and the paper's."""
    from vae_exp.figures.curves import Line, Panel

    keys = [key for key in varied(jobs) if key not in ("seed", "architecture.latent_dim")]
    by_size: dict[int, list[Line]] = {}
    for group in groups(jobs).values():
        job = group[0]
        name_of_setting = label(tuple(job.overrides.get(key, "") for key in keys))
        for split in ("train", "test"):
            name, sign = (f"{split}/bound", 1) if f"{split}/bound" in job.history[-1] else (f"{split}/nll", -1)
            points = [(n, sign * mean, deviation) for n, mean, deviation in group.curve(name)]
            line = Line(name_of_setting, split, points, job.published(split))
            by_size.setdefault(job.results["latent_dim"], []).append(line)
    return [Panel(size, lines) for size, lines in sorted(by_size.items())]


def bound_curves_of(jobs: list[Job], title: str) -> "Figure":
    """The paper's Figure 2 of these jobs."""
    from vae_exp.figures.curves import bound_curves

    return bound_curves(panels(jobs), title)


class Report(Callback):
    """Remember that a sweep began; `reported` writes its table when it has ended, however it ended.

    Hydra does not call `on_multirun_end` where a job failed.
    """

    begun: Path | None = None

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Take down the sweep's directory."""
        Report.begun = Path(config.hydra.sweep.dir)


@contextmanager
def reported() -> Iterator[None]:
    """Write the table and the picture of the sweep that ends inside."""
    Report.begun = None
    try:
        yield
    finally:
        if Report.begun is not None and any(Report.begun.glob("*/")):
            try:
                page = report(Report.begun)
            except RunError as error:
                log.warning("%s", error)
            else:
                print(f"\n{page.read_text()}\n{page}, sweep.csv, figure2.png")


def main() -> None:
    """`python -m vae_exp.sweep <dir>`."""
    from vae_exp.__main__ import CONFIG_DIR
    from vae_exp.explain import readable_errors

    if len(sys.argv) != 2 or sys.argv[1] in ("-h", "--help"):
        print("python -m vae_exp.sweep <directory of a sweep>: write its sweep.csv, sweep.md and figure2.png again")
        sys.exit(len(sys.argv) != 2)
    with readable_errors(CONFIG_DIR):
        print(report(sys.argv[1]).read_text())


if __name__ == "__main__":
    main()
