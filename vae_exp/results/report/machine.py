"""The folded part of a page that is about the machine: time, cost and device."""

from collections.abc import Mapping
from typing import Any

from vae_exp.results.jobs import Job, varied_keys
from vae_exp.results.report.page import Fold, Table

COLUMNS = ("seconds", "evaluation_seconds", "steps_per_second")
"""Columns of metrics.csv about the machine. They are in no chart of results."""

COLUMNS_OF_JOBS = (*COLUMNS, "train_seconds", "device", "git_revision")
"""Columns of sweep.csv about the machine."""


def in_short(results: Mapping[str, Any]) -> str:
    """Say how long a run took, on which device, and what one image cost."""
    parts = [duration(results["train_seconds"]), results.get("device")]
    image = _each(results, "samples")
    return ", ".join(str(part) for part in [*parts, image and f"{image} per image"] if part)


def of_run(job: Job) -> Fold | None:
    """Show what a run cost, and on which device; None if it was not trained."""
    results = job.results
    if not results.get("train_seconds"):
        return None
    cost = {
        "training": duration(results["train_seconds"]),
        "one image": _each(results, "samples"),
        "one update": _each(results, "step"),
        "updates per second": results.get("steps_per_second"),
        "all evaluations": duration(seconds) if (seconds := results.get("evaluation_seconds")) else None,
        "device": results.get("device"),
        "threads": results.get("threads"),
        "updates by": results.get("engine"),
        "matrix products by": results.get("product"),
    }
    rows = [[name, value] for name, value in cost.items() if value is not None]
    tables = [Table("", ["what", "value"], rows, "The time of training is without that of evaluations.")]
    columns = ["samples", *(name for name in COLUMNS if any(name in row for row in job.history))]
    if job.history:
        tables.append(Table("", columns, [[row.get(name) for name in columns] for row in job.history]))
    return Fold(f"Time and machine: {in_short(results)}", tables)


def of_sweep(jobs: list[Job]) -> Fold | None:
    """Show what every job of a sweep cost, and on which device; None if none was trained."""
    trained = [job for job in jobs if job.results.get("train_seconds")]
    if not trained:
        return None
    keys = varied_keys(jobs)
    columns = ["job", *keys, "training, s", "per image", "updates/s", "device", "commit"]
    rows = [
        [
            job.number,
            *(job.value(key) for key in keys),
            round(job.results["train_seconds"], 1),
            _each(job.results, "samples"),
            job.results.get("steps_per_second"),
            job.results.get("device"),
            (job.results.get("git_revision") or "")[:12],
        ]
        for job in trained
    ]
    total = sum(job.results["train_seconds"] for job in trained)
    devices = ", ".join(sorted({job.results["device"] for job in trained if job.results.get("device")}))
    title = f"Time and machine: {duration(total)} in all{', ' + devices if devices else ''}"
    return Fold(title, [Table.filled("", columns, rows)])


def duration(seconds: float) -> str:
    """Format a time with three digits."""
    for size, unit in ((3600, "h"), (60, "min"), (1, "s"), (1e-3, "ms")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def _each(results: Mapping[str, Any], count: str) -> str | None:
    """Return the time of one sample or step; None if it is not known how many there were."""
    return duration(results["train_seconds"] / results[count]) if results.get(count) else None
