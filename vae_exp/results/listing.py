"""A list of the runs and sweeps below a folder, with their state and their bound."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from vae_exp.errors import ConfigError, nearest_first
from vae_exp.results.jobs import Job, comparable_groups, holds_a_run, job_directories, read_job
from vae_exp.results.metrics import measure, standard_error
from vae_exp.results.numbers import shown
from vae_exp.results.run_directory import RunDirectory
from vae_exp.results.settings import settings_of, written
from vae_exp.results.sweep_directory import SweepDirectory

NAMED = 8
"""The number of keys that the message about an unknown key names."""

COLUMNS = ("run", "status", "samples", "budget", "metric", "value", "date")


@dataclass(frozen=True)
class Entry:
    """One line of the list: a run, or a whole sweep. Its attributes are the columns, as text."""

    run: str
    status: str
    samples: str
    budget: str
    metric: str
    value: str
    date: str


def entries(folders: Iterable[Path], filters: Mapping[str, str]) -> list[Entry]:
    """List the runs and sweeps below some folders.

    Without filters a sweep is one line. With filters, every run and every job of a sweep for which they hold is one.

    Args:
        folders: The folders.
        filters: Key → value, of the config, of the choices (`likelihood=gaussian`) or of `results.json`.

    Raises:
        ConfigError: No run has one of the keys. The message names the nearest one.
    """
    found = [path for folder in folders for path in directories(folder)]
    if not filters:
        return [_of_run(read_job(path)) if holds_a_run(path) else _of_sweep(path) for path in found]
    runs = [run for path in found for run in ([path] if holds_a_run(path) else sorted(job_directories(path)))]
    jobs = [read_job(run) for run in runs]
    values = [_values(job) for job in jobs]
    known = {key for own in values for key in own}
    for key in filters:
        if values and key not in known:
            nearest = nearest_first(key, known)[:NAMED]
            raise ConfigError(f"{key}: no run has this key. Did you mean {nearest[0]}? Near it: {', '.join(nearest)}")
    return [
        _of_run(job)
        for job, own in zip(jobs, values, strict=True)
        if all(key in own and _equal(own[key], value) for key, value in filters.items())
    ]


def directories(folder: Path) -> Iterator[Path]:
    """Yield the directories of runs and sweeps in a folder, or the folder if it is one, in the order of their names."""
    if SweepDirectory(folder).record.exists() or holds_a_run(folder):
        yield folder
        return
    for path in sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink()):
        yield from directories(path)


def as_text(found: list[Entry]) -> str:
    """Format the entries as aligned columns, numbers at the right."""
    rows = [COLUMNS, *((e.run, e.status, e.samples, e.budget, e.metric, e.value, e.date) for e in found)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(COLUMNS))]
    right = (COLUMNS.index("samples"), COLUMNS.index("budget"), COLUMNS.index("value"))
    return "\n".join(
        "  ".join(_padded(row[i], width, i in right) for i, width in enumerate(widths)).rstrip() for row in rows
    )


def _padded(cell: str, width: int, right: bool) -> str:
    return cell.rjust(width) if right else cell.ljust(width)


def _of_run(job: Job) -> Entry:
    results = job.results
    metric, _ = measure(results, "test")
    value, error = results.get(metric), standard_error(results, metric)
    budget = results["budget"] if "budget" in results else _values(job).get("samples")
    return Entry(
        _shown_path(job.path),
        str(results["status"]),
        _count(results.get("samples")),
        _count(budget),
        metric if value is not None else "",
        "" if value is None else shown(value, error),
        _date(results.get("date")) or _last_change(job.path),
    )


def _of_sweep(path: Path) -> Entry:
    """Describe a sweep: the states of its jobs, and the best job if all of them can be ranked with each other."""
    jobs = [read_job(run) for run in sorted(job_directories(path))]
    counts = Counter(str(job.results["status"]) for job in jobs)
    leagues = list(comparable_groups(jobs).values())
    best = _best(leagues[0]) if len(leagues) == 1 else None
    ours = _of_run(best) if best else Entry("", "", "", "", "", "", "")
    return Entry(
        f"{_shown_path(path)} (sweep)",
        ", ".join(f"{number} {status}" for status, number in counts.items()) or "no job has begun",
        ours.samples,
        ours.budget,
        f"best {ours.metric}" if best else "",
        ours.value,
        max((_date(job.results.get("date")) for job in jobs), default=""),
    )


def _best(jobs: list[Job]) -> Job | None:
    name, sign = jobs[0].measure("test")
    ranked = [job for job in jobs if job.has(name)]
    return max(ranked, key=lambda job: sign * job.results[name], default=None)


def _values(job: Job) -> dict[str, Any]:
    """Return everything that a filter can name."""
    return job.results | settings_of(job.path, job.results, job.overrides)


def _equal(value: Any, text: str) -> bool:
    """Tell whether a value is the one that was typed: 0.5 is .5, and null is None."""
    if written(value) == text:
        return True
    try:
        typed, own = yaml.safe_load(text), yaml.safe_load(value) if isinstance(value, str) else value
    except yaml.YAMLError:
        return False
    return bool(typed == own) and isinstance(typed, bool) == isinstance(own, bool)


def _shown_path(path: Path) -> str:
    return str(path) if str(path).isprintable() else repr(str(path))


def _count(value: Any) -> str:
    return f"{int(value):,}" if str(value).isdigit() else ""


def _last_change(path: Path) -> str:
    """Return when a run that has no results was last evaluated, or when it began."""
    directory = RunDirectory(path)
    times = [file.stat().st_mtime for file in (directory.metrics, directory.config) if file.exists()]
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(max(times))) if times else ""


def _date(value: Any) -> str:
    """Return the day and the minute of a date as in `results.json`."""
    return str(value or "")[:16].replace("T", " ")
