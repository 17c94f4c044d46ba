"""A run's directory as a page."""

import shlex
from pathlib import Path
from typing import Any

from vae_exp.config.stored import folder, read_config
from vae_exp.jobs import read_job, typed_for
from vae_exp.metrics import SPLITS, by_measure, measure
from vae_exp.report.page import Chart, Link, Page, Picture, Series, Table, finite
from vae_exp.results.files import known
from vae_exp.run_directory import RunDirectory

PARTS = ("dataset", "architecture", "likelihood", "network", "objective", "optimizer", "latent_dim", "seed")
COUNTS = ("samples", "step", "epoch", "images", "labelled")
"""Columns of metrics.csv that say how much was looked at; in the table, not among the curves."""


def page_of_run(path: Path) -> Page:
    """The page of one run, however far it is; of a run in stages what the last of them reached, and links to all."""
    directory, job = RunDirectory(path), read_job(path)
    results = job.results
    config = directory.config.read_text(encoding="utf-8", errors="replace") if directory.config.exists() else ""
    return Page(
        title=directory.name,
        status=results["status"],
        parts={name: results[name] for name in PARTS if results.get(name) is not None},
        command=command("python -m vae_exp", [*directory.flags, *typed_for(directory, results)]),
        notice=results.get("error") or "",
        facts=_facts(results),
        summary=[table for table in (_stages(directory), _final(results)) if table.rows],
        charts=charts(job.history),
        pictures=[Picture.read(file) for file in sorted(job.figures.glob("*.png"))],
        tables=[_evaluations(job.history)] if job.history else [],
        config=config,
        origin=origin(results),
    )


def charts(history: list[dict[str, float]]) -> list[Chart]:
    """Every metric against the samples; the splits of one measure share a chart."""
    if not history:
        return []
    measures = by_measure(dict.fromkeys(name for row in history for name in row))
    first = measure(history[-1], "test")[0].removeprefix("test/")
    found = []
    for of, names in sorted(measures.items(), key=lambda item: (item[0] != first, "" in item[1])):
        every = [Series("", split, _points(history, name)) for split, name in names.items()]
        series = [one for one in every if one.points]
        if of not in COUNTS and series:
            found.append(Chart(of.replace("_", " "), series))
    return found


def command(program: str, words: list[str]) -> str:
    """What was typed, for a shell."""
    return shlex.join([*program.split(), *words])


def origin(results: dict[str, Any]) -> str:
    """When, of which commit, with which versions, each where it is known."""
    versions = {name.removeprefix("version/"): value for name, value in results.items() if name.startswith("version/")}
    known = [results.get("date"), results.get("git_revision") and f"commit {results['git_revision']}"]
    return " · ".join(filter(None, [*known, *(f"{name} {value}" for name, value in versions.items())]))


def _points(history: list[dict[str, float]], name: str) -> list[tuple[float, float, float]]:
    return finite([(row["samples"], row[name], 0.0) for row in history if name in row])


def _facts(results: dict[str, Any]) -> dict[str, Any]:
    name, _ = measure(results, "test")
    names = (name, name.replace("test/", "train/"))
    if name == "test/error":
        facts = {of: results.get(of) and f"{results[of]:.2%}" for of in names}
    else:
        facts = {f"{of}, nats per image": results.get(of) for of in names}
        facts["a bound on"] = results.get("bounds")
    facts["samples"] = results.get("samples")
    if results.get("budget") != results.get("samples"):
        facts["budget"] = results.get("budget")
    facts["stopped by"] = results.get("stopped_by")
    if results.get("train_seconds"):
        seconds = results["train_seconds"]
        facts["training"] = f"{seconds / 60:.1f} min" if seconds >= 60 else f"{seconds:.1f} s"
    facts |= {"steps/s": results.get("steps_per_second"), "device": results.get("device")}
    return {name: value for name, value in facts.items() if value is not None}


def _final(results: dict[str, Any]) -> Table:
    """Every metric of every split at the end."""
    measures = by_measure(name for name, value in results.items() if value is not None and "/" in name)
    measures = {of: names for of, names in measures.items() if "" not in names}
    splits = [split for split in SPLITS if any(split in names for names in measures.values())]
    rows = [[of, *(results.get(names.get(split, "")) for split in splits)] for of, names in measures.items()]
    return Table("Final numbers", ["metric", *splits], rows)


def _evaluations(history: list[dict[str, float]]) -> Table:
    columns = list(dict.fromkeys(name for row in history for name in row))
    return Table("Evaluations", columns, [[row.get(name) for name in columns] for row in history])


def _stages(directory: RunDirectory) -> Table:
    """The stages that have begun."""
    path = directory.path
    rows: list[list[Any]] = []
    config = known(read_config, directory.config) if directory.config.exists() else None
    for name in map(str, config.get("stages") or [] if config else []):
        folder(name, f"stages in {directory.config}")
        if (path / name).exists():
            results = read_job(path / name).results
            of, _ = measure(results, "test")
            stage = Link.to(name, f"{name}/report.html") if (path / name / "report.html").exists() else name
            rows.append([stage, results["status"], results.get("samples"), of, results.get(of)])
    return Table("Stages", ["stage", "status", "samples", "metric", "value"], rows)
