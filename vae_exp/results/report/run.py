"""The report page of a run."""

import shlex
from pathlib import Path
from typing import Any

from vae_exp.config.stored import check_folder_name, read_config
from vae_exp.results.files import read_or_warn
from vae_exp.results.jobs import read_job, recorded_overrides
from vae_exp.results.metrics import SPLITS, by_measure, measure
from vae_exp.results.report.page import Chart, Link, Page, Picture, Series, Table, finite
from vae_exp.results.run_directory import RunDirectory

PARTS = ("dataset", "architecture", "head", "likelihood", "network", "objective", "optimizer", "latent_dim", "seed")
COUNT_COLUMNS = ("samples", "step", "epoch", "images", "labelled")
"""Columns of metrics.csv that count samples, steps or images. They are in the table but not among the curves."""


def page_of_run(path: Path) -> Page:
    """Make the page of one run, which may be unfinished. For a run in stages, show the last and link to all."""
    directory, job = RunDirectory(path), read_job(path)
    results = job.results
    config = directory.config.read_text(encoding="utf-8", errors="replace") if directory.config.exists() else ""
    return Page(
        title=directory.name,
        status=results["status"],
        parts={name: results[name] for name in PARTS if results.get(name) is not None},
        command=command("python -m vae_exp", [*directory.flags, *recorded_overrides(directory, results)]),
        notice=results.get("error") or "",
        facts=facts(results),
        summary=[table for table in (_stages(directory), _final(results)) if table.rows],
        charts=charts(job.history),
        pictures=[Picture.read(file) for file in sorted(job.figures.glob("*.png"))],
        tables=[_evaluations(job.history)] if job.history else [],
        config=config,
        origin=origin(results),
    )


def charts(history: list[dict[str, float]]) -> list[Chart]:
    """Make a chart of every metric against the samples. The splits of one measure share a chart."""
    if not history:
        return []
    measures = by_measure(dict.fromkeys(name for row in history for name in row))
    first = measure(history[-1], "test")[0].removeprefix("test/")
    drawn = []
    for measured, names in sorted(measures.items(), key=lambda item: (item[0] != first, "" in item[1])):
        every_split = [Series("", split, _points(history, name)) for split, name in names.items()]
        series = [curve for curve in every_split if curve.points]
        if measured not in COUNT_COLUMNS and series:
            drawn.append(Chart(measured.replace("_", " "), series))
    return drawn


def command(program: str, words: list[str]) -> str:
    """Format a program and its arguments as a shell command."""
    return shlex.join([*program.split(), *words])


def origin(results: dict[str, Any]) -> str:
    """Return the date, commit and versions of a run, as far as they are known."""
    versions = {name.removeprefix("version/"): value for name, value in results.items() if name.startswith("version/")}
    source = [results.get("date"), results.get("git_revision") and f"commit {results['git_revision']}"]
    return " · ".join(filter(None, [*source, *(f"{name} {value}" for name, value in versions.items())]))


def _points(history: list[dict[str, float]], name: str) -> list[tuple[float, float, float]]:
    return finite([(row["samples"], row[name], 0.0) for row in history if name in row])


def facts(results: dict[str, Any]) -> dict[str, Any]:
    """Return the main results of a run by name; the first is the most important."""
    name, _ = measure(results, "test")
    names = (name, name.replace("test/", "train/"))
    if name == "test/error":
        found = {metric: results.get(metric) and f"{results[metric]:.2%}" for metric in names}
    else:
        found = {f"{metric}, nats per image": results.get(metric) for metric in names}
        found["a bound on"] = results.get("bounds")
    found["samples"] = results.get("samples")
    if results.get("budget") != results.get("samples"):
        found["budget"] = results.get("budget")
    found["stopped by"] = results.get("stopped_by")
    if results.get("train_seconds"):
        seconds = results["train_seconds"]
        found["training"] = f"{seconds / 60:.1f} min" if seconds >= 60 else f"{seconds:.1f} s"
    found |= {"steps/s": results.get("steps_per_second"), "device": results.get("device")}
    return {name: value for name, value in found.items() if value is not None}


def _final(results: dict[str, Any]) -> Table:
    """Make the table of the final value of every metric on every split."""
    measures = by_measure(name for name, value in results.items() if value is not None and "/" in name)
    measures = {measured: names for measured, names in measures.items() if "" not in names}
    splits = [split for split in SPLITS if any(split in names for names in measures.values())]
    rows = [[measured, *(results.get(names.get(s, "")) for s in splits)] for measured, names in measures.items()]
    return Table("Final numbers", ["metric", *splits], rows)


def _evaluations(history: list[dict[str, float]]) -> Table:
    columns = list(dict.fromkeys(name for row in history for name in row))
    return Table("Evaluations", columns, [[row.get(name) for name in columns] for row in history])


def _stages(directory: RunDirectory) -> Table:
    """Make the table of the stages that have begun."""
    path = directory.path
    rows: list[list[Any]] = []
    config = read_or_warn(read_config, directory.config) if directory.config.exists() else None
    for name in map(str, config.get("stages") or [] if config else []):
        check_folder_name(name, f"stages in {directory.config}")
        if (path / name).exists():
            results = read_job(path / name).results
            metric, _ = measure(results, "test")
            stage = Link.to(name, f"{name}/report.html") if (path / name / "report.html").exists() else name
            rows.append([stage, results["status"], results.get("samples"), metric, results.get(metric)])
    return Table("Stages", ["stage", "status", "samples", "metric", "value"], rows)
