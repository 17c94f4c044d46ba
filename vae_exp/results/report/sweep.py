"""The report page of a sweep."""

import math
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from vae_exp.config.overrides import key_of
from vae_exp.results import curves, tables
from vae_exp.results.jobs import Job, comparable_groups, groups, varied_keys
from vae_exp.results.metrics import with_error
from vae_exp.results.report import machine
from vae_exp.results.report.changes import changes
from vae_exp.results.report.facts import gap_of
from vae_exp.results.report.page import Chart, Link, Page, Picture, Series, Table, finite
from vae_exp.results.report.reproduce import reproduction
from vae_exp.results.report.run import command, curve_points, errors_note, model_links, without_errors
from vae_exp.results.run_directory import RunDirectory
from vae_exp.results.search import best, trials
from vae_exp.results.sweep_directory import SweepDirectory

if TYPE_CHECKING:
    from vae_exp.figures.curves import Panel

HIDDEN_OVERRIDES = ("hydra.mode", "hydra.sweep.dir")
"""Overrides that the shown command leaves out: Hydra adds the first, and the second is the sweep's directory."""

GAP_NOTE = "The gap is how much better the value of the training split is than that of the test split."

PICTURES = ("figure2.png", "figure3.png", "search.png", *curves.PICTURES)


def page_of_sweep(path: Path, jobs: list[Job]) -> Page:
    """Make the page of a sweep: its settings, curves, pictures and every job."""
    record = SweepDirectory(path).recorded()
    overrides = SweepDirectory(path).recorded_overrides() if record else []
    shown = [override for override in overrides if key_of(override) not in HIDDEN_OVERRIDES]
    settings_of_all = {key: value for key, value in record.items() if key != "hydra"}
    words = command("python -m vae_exp -m", [*SweepDirectory(path).flags, *shown]) if shown else ""
    counts = Counter(job.results["status"] for job in jobs)
    return Page(
        title=tables.title(path),
        status="completed" if set(counts) == {"completed"} else "incomplete",
        command=words,
        links=model_links(path),
        facts={**_best(path, jobs), "jobs": len(jobs), **counts},
        summary=[table for table in (_summary(jobs), _not_completed(jobs)) if table.rows],
        charts=charts(path, jobs),
        pictures=[Picture.read(path / name) for name in PICTURES if (path / name).exists()],
        wide_pictures=True,
        tables=[_every_job(jobs)],
        machine=machine.of_sweep(jobs),
        reproduction=reproduction(words, jobs),
        settings=changes(jobs),
        config=OmegaConf.to_yaml(settings_of_all) if record else "",
        origin=tables.origin(jobs),
    )


def charts(path: Path, jobs: list[Job]) -> list[Chart]:
    """Make the charts of a grid: the curves of every size as in its picture, and the final values against the size.

    A search, or a grid without such curves, has one curve per job.
    """
    from vae_exp.figures.curves import axis_limits_of_curves, has_curves

    facets = curves.facets(jobs)
    every = [panel for panels in facets.values() for panel in panels]
    if not every or SweepDirectory(path).is_search:
        return _by_job(jobs)
    low, high = axis_limits_of_curves(every)
    size = curves.size_key(jobs).rpartition(".")[2]
    sizes = {panel.size for panel in every}
    drawn = []
    for facet, panels in facets.items():
        if has_curves(every) or len(sizes) == 1:
            titles = [", ".join(filter(None, (facet, f"{size} = {panel.size:,}"))) for panel in panels]
            drawn += [Chart(title, _of_panel(panel)) for title, panel in zip(titles, panels, strict=True)]
        if len(sizes) > 1:
            title = ", ".join(filter(None, (facet, "at the end")))
            drawn.append(Chart(title, _final(panels), x=size, sizes=True))
    unit = ", ".join(tables.METRIC_LABELS[name] for name in tables.measures(jobs))
    unit += "" if tables.measures(jobs) == ["error"] else ", nats per image"
    shared = (low, high) if math.isfinite(low) and high > low else None
    return [Chart(chart.title, chart.series, unit, chart.x, chart.sizes, shared) for chart in drawn if chart.series]


def _of_panel(panel: "Panel") -> list[Series]:
    series = [Series(line.label, line.split, finite(line.points)) for line in panel.lines]
    series += [
        Series(line.label, line.split, [(n, nats, 0.0) for n, nats in line.published_points], published=True)
        for line in panel.lines
    ]
    return [curve for curve in series if curve.points]


def _final(panels: "list[Panel]") -> list[Series]:
    ours: dict[tuple[str, str], Any] = {}
    theirs: dict[tuple[str, str], Any] = {}
    for panel in panels:
        for line in panel.lines:
            if line.points:
                samples, mean, error = line.points[-1]
                ours.setdefault((line.label, line.split), []).append((panel.size, mean, error))
                nats = line.published and line.published.at(samples)
                if nats is not None:
                    theirs.setdefault((line.label, line.split), []).append((panel.size, nats, 0.0))
    series = [Series(*key, finite(points)) for key, points in ours.items()]
    return [*series, *(Series(*key, points, published=True) for key, points in theirs.items())]


def _by_job(jobs: list[Job]) -> list[Chart]:
    """Make charts with one curve per job: the metric that ranks the job on the test split."""
    from vae_exp.figures.search import axis_limits_of_search

    by_metric: dict[tuple[str, int], list[Series]] = {}
    for job in jobs:
        name, sign = job.measure("test")
        points = curve_points(job.history, name)
        if points:
            label = ", ".join([job.number, *(job.value(key) for key in varied_keys(jobs))])
            measured = job.judged_by("test")
            title = f"test/{tables.METRIC_LABELS[measured]}" if measured.endswith(" given y") else name
            by_metric.setdefault((title, sign), []).append(Series(label, "", points))
    drawn = []
    for (title, sign), series in by_metric.items():
        ends = [curve.points[-1][1] for curve in series]
        low, high = axis_limits_of_search(ends, sign * max(sign * end for end in ends))
        margin = 0.06 * (high - low)
        has_outliers = margin and any(not low <= end <= high for end in ends)
        drawn.append(Chart(title, series, limits=(low - margin, high + margin) if has_outliers else None))
    return drawn


def _best(path: Path, jobs: list[Job]) -> dict[str, Any]:
    """Return the best job of a search, or the best job of every group of a grid's jobs that can be ranked together."""
    directory = SweepDirectory(path)
    if directory.is_search and (ranked_trials := trials(directory, jobs)):
        trial = best(ranked_trials)
        return {f"best {trial.metric}": with_error(trial.job.results, trial.metric), "best job": trial.job.number}
    facts: dict[str, Any] = {}
    by_league = comparable_groups(jobs)
    for league, members in by_league.items():
        name, sign = members[0].measure("test")
        values = {job.number: job.results[name] for job in members if job.results.get(name) is not None}
        if values:
            number = max(values, key=lambda number: sign * values[number])
            best_job = "best job" if len(by_league) == 1 else f"best job by {league}"
            best_results = next(job.results for job in members if job.number == number)
            facts |= {f"best {league}": with_error(best_results, name), best_job: number}
    return facts


def _every_job(jobs: list[Job]) -> Table:
    """Make the table of `sweep.csv` without empty columns. The first cell links to the job's own report."""
    rows = tables.rows(jobs)
    hidden = ("job", "error", "directory", *machine.COLUMNS_OF_JOBS)
    columns = [name for name in without_errors(rows[0]) if name not in hidden]
    cells = [
        [_linked(job), *(with_error(row, name) for name in columns), _model(job)]
        for job, row in zip(jobs, rows, strict=True)
    ]
    return Table.filled("Every job", ["job", *columns, "model"], cells, errors_note(rows[0]))


def _summary(jobs: list[Job]) -> Table:
    """Make the table of the settings without what is about the machine."""
    columns, rows = tables.summary(jobs)
    columns, gaps = [*columns, "gap"], [gap_of(group) for group in groups(jobs).values()]
    rows = [[*row, found] for row, found in zip(rows, gaps, strict=True)]
    kept = [i for i, name in enumerate(columns) if name not in tables.MACHINE_COLUMNS]
    rows = [[row[i] for i in kept] for row in rows]
    return Table.filled("Settings", [columns[i] for i in kept], rows, f"{tables.unit(jobs)} {GAP_NOTE}")


def _not_completed(jobs: list[Job]) -> Table:
    unfinished = [job for job in jobs if not job.completed]
    rows = [[_linked(job), job.results["status"], job.results.get("error")] for job in unfinished]
    return Table("Not completed", ["job", "status", "reason"], rows)


def _linked(job: Job) -> Link | str:
    return Link.to(job.number, f"{job.number}/report.html") if job.has_report else job.number


def _model(job: Job) -> Link | None:
    page = RunDirectory(job.path).model_page
    return Link.to("touch", f"{job.number}/{page.name}") if page.exists() else None
