"""The report page of a run."""

import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from vae_exp.config.flatten import flat
from vae_exp.config.stored import check_folder_name, read_config
from vae_exp.results.files import read_or_warn
from vae_exp.results.jobs import Job, read_job, recorded_overrides
from vae_exp.results.metrics import SPLITS, STANDARD_ERROR, by_measure, history, measure, standard_error, with_error
from vae_exp.results.report import latents, machine
from vae_exp.results.report.changes import changes
from vae_exp.results.report.facts import facts, paper
from vae_exp.results.report.page import Chart, Link, Page, Picture, Series, Table, finite
from vae_exp.results.report.reproduce import reproduction
from vae_exp.results.run_directory import RunDirectory
from vae_exp.results.settings import GROUPS

PARTS = (*GROUPS, "latent_dim", "seed")
COUNT_COLUMNS = ("samples", "step", "epoch", "images", "labelled", "labelled_of_rarest_class")
"""Columns of metrics.csv that count samples, steps or images. They are in the table but not among the curves."""

NOT_DRAWN = (*COUNT_COLUMNS, *machine.COLUMNS)

ERRORS_NOTE = "± is the standard error over the images of the split."


def page_of_run(path: Path) -> Page:
    """Make the page of one run, which may be unfinished. For a run in stages, show the last and link to all."""
    directory, job = RunDirectory(path), read_job(path)
    results = job.results
    config = directory.config.read_text(encoding="utf-8", errors="replace") if directory.config.exists() else ""
    words = command("python -m vae_exp", [*directory.flags, *recorded_overrides(directory, results)])
    carriers = latents.latents_of(read_or_warn(history, job.shown.kl_per_latent) or [])
    return Page(
        title=directory.name,
        status=results["status"],
        parts={name: results[name] for name in PARTS if results.get(name) is not None},
        command=words,
        links=model_links(path),
        notice=results.get("error") or "",
        facts=facts(results) | paper(job),
        summary=[table for table in (_stages(directory), _final(results)) if table.rows],
        charts=charts(job),
        bars=latents.bars(carriers, _settings(directory), results.get("test/active_units")) if carriers else None,
        pictures=[Picture.read(file) for file in sorted(job.figures.glob("*.png"))],
        model=next(iter(model_links(path)), None),
        tables=[
            *([latents.table(carriers)] if carriers else []),
            *([_evaluations(job.history)] if job.history else []),
        ],
        machine=machine.of_run(job),
        reproduction=reproduction(words, [job]),
        settings=changes([job]),
        config=config,
        origin=origin(results),
    )


def charts(job: Job) -> list[Chart]:
    """Make a chart of every metric against the samples. The splits of one measure share a chart.

    The paper's curves of the same experiment are beside those of the metric that ranks the model.
    """
    history = job.history
    if not history:
        return []
    measures = by_measure(dict.fromkeys(name for row in history for name in row))
    first = measure(history[-1], "test")[0].removeprefix("test/")
    drawn = []
    for measured, names in sorted(measures.items(), key=lambda item: (item[0] != first, "" in item[1])):
        every_split = [Series("", split, curve_points(history, name)) for split, name in names.items()]
        if measured == first:
            every_split += _published(job, names)
        series = [curve for curve in every_split if curve.points]
        if series and measured not in NOT_DRAWN and not all(map(_is_constant, series)):
            drawn.append(Chart(measured.replace("_", " "), series))
    return drawn


def _published(job: Job, splits: Iterable[str]) -> list[Series]:
    """Return the paper's curves of the same experiment, up to the last evaluation."""
    last = job.history[-1]["samples"]
    found = {split: curve for split in splits if (curve := job.published(split)) is not None}
    return [
        Series("", split, [(n, nats, 0.0) for n, nats in curve.points(last)], published=True)
        for split, curve in found.items()
    ]


def _is_constant(curve: Series) -> bool:
    """Tell whether the points of a curve have one value: the tables show it."""
    return len(curve.points) > 1 and len({value for _, value, _ in curve.points}) == 1


def _settings(directory: RunDirectory) -> dict[str, Any]:
    """Return the values of the run's config under their keys on the command line, as far as it can be read."""
    config = read_or_warn(read_config, directory.config) if directory.config.exists() else None
    return {} if config is None else flat(config)


def model_links(path: Path) -> list[Link]:
    """Return the link to the page of the model, if there is one."""
    page = RunDirectory(path).model_page
    return [Link.to("Touch the model", page.name)] if page.exists() else []


def command(program: str, words: list[str]) -> str:
    """Format a program and its arguments as a shell command."""
    return shlex.join([*program.split(), *words])


def origin(results: dict[str, Any]) -> str:
    """Return the date, commit and versions of a run, as far as they are known."""
    versions = {name.removeprefix("version/"): value for name, value in results.items() if name.startswith("version/")}
    source = [results.get("date"), results.get("git_revision") and f"commit {results['git_revision']}"]
    return " · ".join(filter(None, [*source, *(f"{name} {value}" for name, value in versions.items())]))


def curve_points(history: list[dict[str, float]], name: str) -> list[tuple[float, float, float]]:
    """Return (samples, value, standard error over the images) of every evaluation; the error is 0 if it has none."""
    return finite([(row["samples"], row[name], standard_error(row, name) or 0.0) for row in history if name in row])


def _final(results: dict[str, Any]) -> Table:
    """Make the table of the final value of every metric on every split."""
    measures = by_measure(name for name, value in results.items() if value is not None and "/" in name)
    measures = {measured: names for measured, names in measures.items() if "" not in names}
    splits = [split for split in SPLITS if any(split in names for names in measures.values())]
    rows = [
        [measured, *(with_error(results, names.get(split, "")) for split in splits)]
        for measured, names in measures.items()
    ]
    return Table("Final numbers", ["metric", *splits], rows, errors_note(results))


def _evaluations(history: list[dict[str, float]]) -> Table:
    names = without_errors(name for row in history for name in row)
    columns = [name for name in names if name not in machine.COLUMNS]
    rows = [[with_error(row, name) for name in columns] for row in history]
    return Table("Evaluations", columns, rows, errors_note(history[-1]))


def without_errors(names: Iterable[str]) -> list[str]:
    """Return the names without repetition and without the standard errors, which stand beside their metric."""
    return [name for name in dict.fromkeys(names) if not name.endswith(STANDARD_ERROR)]


def errors_note(metrics: Iterable[str]) -> str:
    """Return what ± means if any of the metrics has a standard error."""
    return ERRORS_NOTE if any(name.endswith(STANDARD_ERROR) for name in metrics) else ""


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
            rows.append([stage, results["status"], results.get("samples"), metric, with_error(results, metric)])
    return Table("Stages", ["stage", "status", "samples", "metric", "value"], rows)
