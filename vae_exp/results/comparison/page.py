"""The page of a comparison: `comparison.html`."""

import os
from collections import Counter
from pathlib import Path
from typing import Any

from vae_exp.results.comparison import tables
from vae_exp.results.comparison.differences import Difference
from vae_exp.results.comparison.rows import DATA, Comparison, Row
from vae_exp.results.curves import PICTURES
from vae_exp.results.jobs import Job
from vae_exp.results.metrics import MEASURES, SPLITS, with_error
from vae_exp.results.report.page import Chart, Gallery, Link, Page, Picture, Series, Table, finite
from vae_exp.results.report.run import COUNT_COLUMNS, command, errors_note
from vae_exp.results.tables import origin


def page_of_comparison(
    comparison: Comparison, metrics: list[str], found: list[Difference], words: list[str], folder: Path
) -> Page:
    """Make the page of a comparison.

    Args:
        comparison: The comparison.
        metrics: The metrics of the tables.
        found: The differences of the rows.
        words: The arguments that the user typed.
        folder: The folder of the page, for its links.
    """
    counts = Counter(run.results["status"] for _, run in comparison.runs)
    settings = Table(
        "Settings",
        tables.columns(comparison, metrics),
        [[cell.text for cell in row] for row in tables.cells(comparison, metrics)],
        tables.NOTE.replace("bold", "in the table below"),
    )
    best = Table("Best", tables.BEST_COLUMNS, tables.best_rows(comparison, metrics))
    differences = Table(
        "Differences", tables.DIFFERENCE_COLUMNS, tables.difference_cells(found), tables.DIFFERENCES_NOTE
    )
    return Page(
        title="Comparison",
        status="completed" if set(counts) == {"completed"} else "incomplete",
        command=command("python -m vae_exp compare", words),
        facts={"settings": len(comparison.rows), "runs": len(comparison.runs), **counts},
        summary=[table for table in (settings, best, differences, _not_completed(comparison, folder)) if table.rows],
        charts=charts(comparison),
        galleries=galleries(comparison),
        tables=[_every_run(comparison, metrics, folder)],
        origin=origin([run for _, run in comparison.runs]),
    )


def charts(comparison: Comparison) -> list[Chart]:
    """Make a chart of every metric of the splits, with a curve for each row: means over the seeds and their errors.

    Rows of other data, with another likelihood or another kind of bound have charts of their own.
    """
    names = dict.fromkeys(name for _, run in comparison.runs for row in run.history for name in row)
    measured = dict.fromkeys(name.partition("/")[2] for name in names if name.partition("/")[0] in SPLITS)
    drawn = []
    for measure in sorted(measured, key=lambda name: (name not in MEASURES, list(measured).index(name))):
        if measure in COUNT_COLUMNS or measure.endswith("_standard_error"):
            continue
        by_kind: dict[str, list[Series]] = {}
        for row in comparison.rows:
            kind = _kind(row, measure)
            for split in SPLITS:
                points = finite(row.runs.curve(f"{split}/{measure}"))
                if points:
                    by_kind.setdefault(kind, []).append(Series(row.label, split, points))
        title = measure.replace("_", " ")
        drawn += [Chart(title, series, kind if len(by_kind) > 1 else "") for kind, series in by_kind.items()]
    return drawn


def _kind(row: Row, measure: str) -> str:
    """Return what the images and the likelihood of a row are, in words; "" for a measure that ranks nothing."""
    if measure not in MEASURES:
        return ""
    data = [row.settings.get(key, "unknown") for key in DATA]
    bounds = row.runs[0].bounds
    return ", ".join(data if bounds is None or measure != "bound" else [*data, bounds])


def galleries(comparison: Comparison) -> list[Gallery]:
    """Put the pictures of the rows side by side: one gallery for each kind of picture that several rows have."""
    files = {row.label: {file.name: file for file in row.runs[0].figures.glob("*.png")} for row in comparison.rows}
    names = {name for of_row in files.values() for name in of_row}
    order = sorted(names, key=lambda name: (PICTURES.index(name) if name in PICTURES else len(PICTURES), name))
    found = [
        Gallery(
            Path(name).stem.replace("_", " "),
            [Picture(label, Picture.read(of_row[name]).source) for label, of_row in files.items() if name in of_row],
        )
        for name in order
    ]
    return [gallery for gallery in found if len(gallery.pictures) > 1 or len(comparison.rows) == 1]


def _every_run(comparison: Comparison, metrics: list[str], folder: Path) -> Table:
    heads = ["run", "setting", "status", "seed", "reached", *metrics, "date", "commit", "format"]
    rows = [
        [
            _linked(run, folder),
            row.label,
            run.results["status"],
            run.results.get("seed"),
            run.results.get("samples"),
            *(with_error(run.results, name) for name in metrics),
            run.results.get("date"),
            (run.results.get("git_revision") or "")[:12],
            run.results.get("format"),
        ]
        for row, run in comparison.runs
    ]
    note = errors_note(name for _, run in comparison.runs for name in run.results)
    return Table.filled("Every run", heads, rows, note)


def _not_completed(comparison: Comparison, folder: Path) -> Table:
    rows: list[list[Any]] = [
        [_linked(run, folder), run.results["status"], run.results.get("error")]
        for row, run in comparison.runs
        if not row.completed
    ]
    return Table("Not completed", ["run", "status", "reason"], rows)


def _linked(run: Job, folder: Path) -> Link | str:
    text = "/".join(run.path.absolute().parts[-3:])
    if not run.has_report:
        return text
    return Link.to(text, Path(os.path.relpath(run.path / "report.html", folder)).as_posix())
