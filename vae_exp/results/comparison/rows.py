"""The rows of a comparison: one for each setting, with its runs over the seeds, and one for each unfinished run."""

import json
import logging
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vae_exp.errors import RunError, nearest_first
from vae_exp.results.files import read_json, read_or_warn, reporting_read_errors
from vae_exp.results.jobs import Group, Job, holds_a_run, job_directories, read_job
from vae_exp.results.metrics import MEASURES, SPLITS, STANDARD_ERROR
from vae_exp.results.settings import GROUPS, Settings, differing, settings_of

log = logging.getLogger(__name__)

HIGHER_IS_BETTER = {**MEASURES, "ais": 1, "bits_per_dim": -1}
"""The measures that can be ranked, apart from L_k. The sign is −1 if lower is better."""

NUMBERS_OF_ESTIMATE = ("mean", "standard_error", "images")
"""The numbers of an estimate in the file that `evaluate` writes."""

DATA = ("dataset", "dataset.binarization", "dataset.dequantise", "likelihood")
"""The settings that must be known and equal for values in nats to be comparable: images, and density or probability."""


@dataclass(frozen=True)
class Row:
    """The completed runs of one setting, which differ only in their seeds, or one run that is not completed.

    Attributes:
        label: The settings that differ from those of other rows, or the folder of the run.
        runs: The runs, sorted by seed.
        settings: The settings of the first run.
    """

    label: str
    runs: Group
    settings: Settings

    @property
    def status(self) -> str:
        """`completed`, or the state of the run: `running`, `killed`, `failed`, `diverged` or `interrupted`."""
        return str(self.runs[0].results["status"])

    @property
    def completed(self) -> bool:
        """Whether the row has its final numbers."""
        return self.runs[0].completed

    @property
    def seeds(self) -> list[str]:
        """The seed of every run."""
        return [str(run.results.get("seed")) for run in self.runs]

    def values(self, metric: str) -> list[float] | None:
        """Return the metric of every run, or None if a run does not have it."""
        found = [run.results.get(metric) for run in self.runs]
        return None if None in found else [float(value) for value in found if value is not None]

    def league(self, metric: str) -> tuple[str, ...] | None:
        """Return what the metric's value depends on, beside the model: rows can be ranked only if this is equal.

        The result is None if the metric ranks nothing, if the row is not completed, or if something is not known.
        """
        first = self.runs[0]
        split, _, name = metric.partition("/")
        if sign(metric) is None or not self.completed or self.values(metric) is None:
            return None
        if name == "nll" and first.bounds is not None:  # it is a part of the bound, and no result
            return None
        of_split = first.results.get(f"{split}/{'labelled' if name == 'error' else 'images'}")
        images = first.results.get(f"{metric}_images", of_split)
        known = {key: self.settings.get(key) for key in (DATA[:1] if name == "error" else DATA)}
        known |= {"images": None if images is None else f"{images:,} images"}
        if name not in ("error", "nll"):
            known |= {"bounds": first.bounds}
        if None in known.values():
            return None
        drawn = sorted(f"{key}={value}" for key, value in self.settings.items() if _decides_images(key, split))
        named = (str(value) if key in ("images", "bounds") else f"{key}={value}" for key, value in known.items())
        return (*named, *drawn)


@dataclass(frozen=True)
class Comparison:
    """Runs beside each other.

    Attributes:
        rows: The rows, in the order in which the runs were named.
        keys: The settings that differ.
    """

    rows: list[Row]
    keys: list[str]

    @property
    def runs(self) -> list[tuple[Row, Job]]:
        """Every run, with its row."""
        return [(row, run) for row in self.rows for run in row.runs]

    @property
    def metrics(self) -> list[str]:
        """Every metric of any split that a run has, those that rank first."""
        names = {name for _, run in self.runs for name, value in run.results.items() if _is_metric(name, value)}
        return sorted(names, key=_place)

    def leagues(self, metric: str) -> dict[tuple[str, ...], list[Row]]:
        """Group the rows that can be ranked with each other by a metric."""
        found: dict[tuple[str, ...], list[Row]] = {}
        for row in self.rows:
            league = row.league(metric)
            if league is not None:
                found.setdefault(league, []).append(row)
        return found

    def best(self, metric: str) -> list[tuple[tuple[str, ...], Row, int]]:
        """Return the best row of every league with more than one row, and the number of rows in the league."""
        leagues = [(league, rows) for league, rows in self.leagues(metric).items() if len(rows) > 1]
        return [(league, max(rows, key=lambda row: _score(row, metric)), len(rows)) for league, rows in leagues]


def sign(metric: str) -> int | None:
    """Return 1 if a higher value of the metric is better, −1 if a lower one is, and None if it ranks nothing."""
    name = metric.partition("/")[2]
    return 1 if re.fullmatch(r"L_\d+", name) else HIGHER_IS_BETTER.get(name)


def compare(paths: Iterable[Path]) -> Comparison:
    """Read runs and sweeps and make the rows of their comparison.

    Args:
        paths: Directories of runs and sweeps, or folders with runs below. A run that is named twice counts once.

    Raises:
        RunError: A path does not exist, or there is no run in any of them.
    """
    paths = list(paths)
    directories = {Path(os.path.realpath(run)): run for path in paths for run in runs_of(path)}
    if not directories:
        raise RunError(f"{', '.join(map(str, paths))}: holds neither a run nor a sweep")
    jobs = [_with_evaluations(read_job(run, str(run))) for run in directories.values()]
    settings = [settings_of(job.path, job.results, job.overrides) for job in jobs]
    jobs = [
        replace(job, results={"seed": own.get("seed")} | job.results) for job, own in zip(jobs, settings, strict=True)
    ]
    keys = differing(settings)
    grouped = _grouped(jobs, settings)
    labels = _labels(grouped, keys)
    rows = [Row(label, runs, own) for label, (own, runs) in zip(labels, grouped, strict=True)]
    return Comparison(rows, keys)


def runs_of(path: Path) -> list[Path]:
    """Return the run directories in a path: itself, or the jobs of a sweep in the order of their numbers.

    A path without a run, which a glob may find, gives a warning.

    Raises:
        RunError: The path does not exist. The message names the nearest one that does.
    """
    if not path.exists():
        beside = [str(other) for other in path.parent.glob("*") if other.is_dir()] if path.parent.exists() else []
        nearest = "".join(f". Did you mean {name}?" for name in nearest_first(str(path), beside)[:1])
        raise RunError(f"{path}: no such run or sweep{nearest}")
    if holds_a_run(path):
        return [path]
    found = sorted(job_directories(path), key=lambda run: [_natural(part) for part in run.parts])
    if not found:
        log.warning("%s: holds no run and is left out", path)
    return found


def _natural(name: str) -> tuple[int, str]:
    """Sort numbers by their size."""
    return (int(name) if name.isdigit() else -1, name)


def _place(metric: str) -> tuple[int, int, str]:
    """Sort metrics: the test split and the measures that rank first."""
    split, _, name = metric.partition("/")
    ranking = [*HIGHER_IS_BETTER]
    place = ranking.index(name) if name in ranking else len(ranking) + (sign(metric) is None)
    return -SPLITS.index(split), place, metric


def _decides_images(key: str, split: str) -> bool:
    """Tell whether a setting decides which images a split holds. Log densities are those of unstandardised pixels."""
    if key == "dataset.split_seed":
        return split != "test"
    return key.startswith("dataset.source.") and key.rpartition(".")[2] not in ("root", "cache", "standardise")


def _is_metric(name: str, value: Any) -> bool:
    split, _, rest = name.partition("/")
    is_count = rest == "images" or name.endswith(("_images", STANDARD_ERROR))
    return split in SPLITS and not is_count and isinstance(value, int | float)


def _score(row: Row, metric: str) -> float:
    mean = row.runs.mean(metric)
    return 0.0 if mean is None else (sign(metric) or 1) * mean[0]


def _with_evaluations(job: Job) -> Job:
    """Add the numbers that `evaluate` wrote, such as `test/L_5000`, to the results of a run."""
    added: dict[str, Any] = {}
    for split in SPLITS:
        file = job.path / f"evaluation_{split}.json"
        for name, value in (read_or_warn(_read_evaluation, file) or {} if file.exists() else {}).items():
            metric = f"{split}/{name}"
            if isinstance(value, dict) and "mean" in value:
                added |= {metric: value["mean"], f"{metric}{STANDARD_ERROR}": value.get("standard_error")}
                added |= {f"{metric}_images": value.get("images")}
    return replace(job, results=added | job.results)  # the training's own bound is over all images


def _read_evaluation(path: Path) -> dict[str, Any]:
    results: dict[str, Any] = read_json(path, dict)
    with reporting_read_errors(path):
        for value in results.values():
            numbers = [value.get(key) for key in NUMBERS_OF_ESTIMATE] if isinstance(value, dict) else []
            if not all(isinstance(number, int | float | None) for number in numbers):
                raise ValueError("it holds something other than numbers")
    return results


def _grouped(jobs: list[Job], settings: list[Settings]) -> list[tuple[Settings, Group]]:
    """Group the completed runs over their seeds. A second run with the same settings and seed begins another row."""
    groups: dict[tuple[str, str, str], tuple[Settings, Group]] = {}
    repeats: Counter[tuple[str, str]] = Counter()
    keys = differing(settings)
    for job, own in zip(jobs, settings, strict=True):
        setting = json.dumps({key: own.get(key) for key in keys})
        seed = str(own.get("seed"))
        if job.completed:
            repeats[setting, seed] += 1
            key = (setting, str(repeats[setting, seed]), "")
        else:
            key = (setting, "", str(job.path))
        groups.setdefault(key, (own, Group()))[1].append(job)
    for _, runs in groups.values():
        runs.sort(key=lambda job: _natural(str(job.results.get("seed"))))
    return list(groups.values())


def _labels(grouped: Sequence[tuple[Settings, Group]], keys: list[str]) -> list[str]:
    """Name every row by its values of the settings that differ, or by its folder where these do not tell rows apart.

    The label of a completed row leaves out what only runs that are not completed have different.
    """
    of_completed = differing(own for own, runs in grouped if runs[0].completed)
    named = [
        _named(own, of_completed) if runs[0].completed else f"{_named(own, keys)} ({runs[0].results['status']})".strip()
        for own, runs in grouped
    ]
    folders = ["/".join(runs[0].path.absolute().parts[-2:]) for _, runs in grouped]
    clear = [text and count == 1 for text, count in zip(named, map(Counter(named).__getitem__, named), strict=True)]
    return [
        text if is_clear else f"{text} {folder}".strip()
        for text, is_clear, folder in zip(named, clear, folders, strict=True)
    ]


def _named(settings: Settings, keys: list[str]) -> str:
    """Write the values of some keys, with short keys where these are clear. The choice of a part needs no key."""
    last = Counter(key.rpartition(".")[2] for key in keys)
    short = {key: name if last[name := key.rpartition(".")[2]] == 1 else key for key in keys}
    return ", ".join(
        settings[key] if key in GROUPS else f"{short[key]}={settings[key]}" for key in keys if key in settings
    )
