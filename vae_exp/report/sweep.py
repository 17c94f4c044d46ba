"""A sweep's directory as a page."""

import math
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from vae_exp import sweep
from vae_exp.jobs import Job, leagues, varied
from vae_exp.report.page import Chart, Link, Page, Picture, Series, Table, finite
from vae_exp.report.run import command
from vae_exp.search import best, trials
from vae_exp.sweep_directory import SweepDirectory

if TYPE_CHECKING:
    from vae_exp.figures.curves import Panel

OF_HYDRA = ("hydra.mode=", "hydra.sweep.dir=")
"""What Hydra adds to what was typed, and where the directory was."""

PICTURES = ("figure2.png", "figure3.png", "search.png", *sweep.PICTURES)


def page_of_sweep(path: Path, jobs: list[Job]) -> Page:
    """The page of a sweep: its settings, curves, pictures and every job."""
    record = SweepDirectory(path).recorded()
    words = [word for word in SweepDirectory(path).words() if not word.startswith(OF_HYDRA)] if record else []
    settings_of_all = {key: value for key, value in record.items() if key != "hydra"}
    columns, rows = sweep.summary(jobs)
    settings = Table.filled("Settings", columns, rows, sweep.unit(jobs))
    counts = Counter(job.results["status"] for job in jobs)
    return Page(
        title=sweep.title(path),
        status="completed" if set(counts) == {"completed"} else "incomplete",
        command=command("python -m vae_exp -m", [*SweepDirectory(path).flags, *words]) if words else "",
        facts={**_best(path, jobs), "jobs": len(jobs), **counts},
        summary=[table for table in (settings, _not_completed(jobs)) if table.rows],
        charts=charts(path, jobs),
        pictures=[Picture.read(path / name) for name in PICTURES if (path / name).exists()],
        wide_pictures=True,
        tables=[_every_job(jobs)],
        config=OmegaConf.to_yaml(settings_of_all) if record else "",
        origin=sweep.origin(jobs),
    )


def charts(path: Path, jobs: list[Job]) -> list[Chart]:
    """As the picture has it: a chart per size, and the final values against it; without a grid a curve per job."""
    from vae_exp.figures.curves import limits

    panels = sweep.panels(jobs)
    if not panels or SweepDirectory(path).is_search:
        return _by_job(jobs)
    low, high = limits(panels)
    name = sweep.size_key(jobs).rpartition(".")[2]
    drawn = [Chart(f"{name} = {panel.size:,}", _of_panel(panel)) for panel in panels]
    if len(panels) > 1:
        drawn.append(Chart("at the end", _final(panels), x=name, sizes=True))
    unit = ", ".join(sweep.NAMES[of] for of in sweep.measures(jobs))
    unit += "" if sweep.measures(jobs) == ["error"] else ", nats per image"
    shared = (low, high) if math.isfinite(low) and high > low else None
    return [Chart(one.title, one.series, unit, one.x, one.sizes, shared) for one in drawn if one.series]


def _of_panel(panel: "Panel") -> list[Series]:
    series = [Series(line.label, line.split, finite(line.points)) for line in panel.lines]
    series += [
        Series(line.label, line.split, [(n, nats, 0.0) for n, nats in line.published_points], published=True)
        for line in panel.lines
    ]
    return [one for one in series if one.points]


def _final(panels: "list[Panel]") -> list[Series]:
    ours: dict[tuple[str, str], Any] = {}
    theirs: dict[tuple[str, str], Any] = {}
    for panel in panels:
        for line in panel.lines:
            if line.points:
                samples, mean, deviation = line.points[-1]
                ours.setdefault((line.label, line.split), []).append((panel.size, mean, deviation))
                nats = line.published and line.published.at(samples)
                if nats is not None:
                    theirs.setdefault((line.label, line.split), []).append((panel.size, nats, 0.0))
    series = [Series(*key, finite(points)) for key, points in ours.items()]
    return [*series, *(Series(*key, points, published=True) for key, points in theirs.items())]


def _by_job(jobs: list[Job]) -> list[Chart]:
    """Each job's own measure on the test split."""
    from vae_exp.figures.search import reach

    found: dict[tuple[str, int], list[Series]] = {}
    for job in jobs:
        name, sign = job.measure("test")
        points = finite([(row["samples"], row[name], 0.0) for row in job.history if name in row])
        if points:
            label = ", ".join([job.number, *(job.value(key) for key in varied(jobs))])
            of = job.judged_by("test")
            title = f"test/{sweep.NAMES[of]}" if of.endswith(" given y") else name
            found.setdefault((title, sign), []).append(Series(label, "", points))
    drawn = []
    for (title, sign), series in found.items():
        ends = [one.points[-1][1] for one in series]
        low, high = reach(ends, sign * max(sign * end for end in ends))
        margin = 0.06 * (high - low)
        far = margin and any(not low <= end <= high for end in ends)
        drawn.append(Chart(title, series, limits=(low - margin, high + margin) if far else None))
    return drawn


def _best(path: Path, jobs: list[Job]) -> dict[str, Any]:
    """The best of a search; of a grid the best of all that can be ranked with each other."""
    directory = SweepDirectory(path)
    if directory.is_search and (found := trials(directory, jobs)):
        trial = best(found)
        return {f"best {trial.metric}": trial.value, "best job": trial.job.number}
    facts: dict[str, Any] = {}
    ranked = leagues(jobs)
    for league, members in ranked.items():
        name, sign = members[0].measure("test")
        values = {job.number: job.results[name] for job in members if job.results.get(name) is not None}
        if values:
            number = max(values, key=lambda number: sign * values[number])
            best_job = "best job" if len(ranked) == 1 else f"best job by {league}"
            facts |= {f"best {league}": values[number], best_job: number}
    return facts


def _every_job(jobs: list[Job]) -> Table:
    """`sweep.csv` without empty columns; the first cell leads to the job's own report."""
    rows = sweep.rows(jobs)
    columns = [name for name in rows[0] if name not in ("job", "error", "directory")]
    cells = [[_linked(job), *map(row.get, columns)] for job, row in zip(jobs, rows, strict=True)]
    return Table.filled("Every job", ["job", *columns], cells)


def _not_completed(jobs: list[Job]) -> Table:
    rest = [job for job in jobs if not job.completed]
    rows = [[_linked(job), job.results["status"], job.results.get("error")] for job in rest]
    return Table("Not completed", ["job", "status", "reason"], rows)


def _linked(job: Job) -> Link | str:
    return Link.to(job.number, f"{job.number}/report.html") if job.has_report else job.number
