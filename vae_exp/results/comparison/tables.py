"""The tables of a comparison, and their text as CSV and Markdown."""

from dataclasses import dataclass
from typing import Any

from vae_exp.errors import ConfigError, nearest_first
from vae_exp.results.comparison.differences import Difference
from vae_exp.results.comparison.rows import Comparison, Row, sign
from vae_exp.results.metrics import STANDARD_ERROR, standard_error
from vae_exp.results.numbers import shown
from vae_exp.results.tables import markdown_table

NOTE = (
    "± is the standard error over the seeds; a setting with one run has none. Numbers in nats are per image. "
    "The best of those that can be compared is bold: the same images, the same kind of bound."
)
DIFFERENCES_NOTE = (
    "The mean of the setting minus the mean of the baseline, ± its standard error over the seeds. paired: both have "
    "the same seeds, and each seed is a pair. Welch: they have different seeds. p is that of the two-sided t-test."
)


@dataclass(frozen=True)
class Cell:
    """A number of a row as text; `best` if it is the best that it can be compared with."""

    text: str
    best: bool = False


def chosen_metrics(comparison: Comparison, names: list[str] | None) -> list[str]:
    """Return the metrics of a table: the given ones, or those of the test split.

    Raises:
        ConfigError: No run has a metric of this name.
    """
    for name in names or []:
        if name not in comparison.metrics:
            nearest = nearest_first(name, comparison.metrics)
            raise ConfigError(
                f"metrics={name}: no run has it. Did you mean {nearest[0]}? Allowed: {', '.join(nearest)}"
                if nearest
                else f"metrics={name}: no run has been evaluated yet"
            )
    return names or [name for name in comparison.metrics if name.startswith("test/")]


def columns(comparison: Comparison, metrics: list[str]) -> list[str]:
    """Return the heads of the table: the settings that differ, the runs, the samples that they reached, the metrics."""
    return [*_first_columns(comparison), "status", "runs", "reached", *metrics]


def cells(comparison: Comparison, metrics: list[str]) -> list[list[Cell]]:
    """Return the cells of every row of the table."""
    best = {metric: [row for _, row, _ in comparison.best(metric)] for metric in metrics}
    return [
        [
            *(Cell(text) for text in _first_cells(comparison, row)),
            Cell(row.status),
            Cell(str(len(row.runs))),
            Cell(_samples(row)),
            *(Cell(_number(row, metric), any(row is other for other in best[metric])) for metric in metrics),
        ]
        for row in comparison.rows
    ]


def best_rows(comparison: Comparison, metrics: list[str]) -> list[list[str]]:
    """Return a row for the best of everything that can be compared: metric, kind, setting, value, number of rows."""
    return [
        [metric, _kind(league), row.label, _number(row, metric), str(size)]
        for metric in metrics
        for league, row, size in comparison.best(metric)
    ]


def _kind(league: tuple[str, ...]) -> str:
    return ", ".join(part for part in league if "_target_" not in part)


BEST_COLUMNS = ["metric", "among", "best", "value", "of"]
DIFFERENCE_COLUMNS = ["metric", "setting", "baseline", "difference", "runs", "test", "p"]


def difference_cells(found: list[Difference]) -> list[list[str]]:
    """Return the cells of the table of differences."""
    return [
        [
            one.metric,
            one.row.label,
            one.baseline.label,
            _signed(one),
            f"{one.n} pairs" if one.test == "paired" else f"{one.n} and {one.baseline_n}",
            one.test,
            "" if one.p is None else f"{one.p:.2g}",
        ]
        for one in found
    ]


def csv_rows(comparison: Comparison, metrics: list[str]) -> list[dict[str, Any]]:
    """Return the rows of `comparison.csv`: the numbers of every setting, with all their digits.

    `<metric>_standard_error` is over the images and belongs to a setting with one run, `<metric>_error_over_seeds` to
    one with more.
    """
    table: list[dict[str, Any]] = []
    for row in comparison.rows:
        first: dict[str, Any] = {"setting": row.label, **{key: row.settings.get(key) for key in comparison.keys}}
        first |= {"status": row.status, "runs": len(row.runs), "seeds": " ".join(row.seeds), "reached": _reached(row)}
        for metric in metrics:
            mean = row.runs.mean(metric)
            alone = len(row.runs) == 1
            first[metric] = None if mean is None else mean[0]
            first[f"{metric}{STANDARD_ERROR}"] = standard_error(row.runs[0].results, metric) if alone else None
            first[f"{metric}_error_over_seeds"] = None if alone or mean is None else mean[1]
        table.append(first)
    return table


def difference_rows(found: list[Difference]) -> list[dict[str, Any]]:
    """Return the rows of `differences.csv`."""
    return [
        {
            "metric": one.metric,
            "setting": one.row.label,
            "baseline": one.baseline.label,
            "difference": one.mean,
            "standard_error": one.error,
            "runs": one.n,
            "baseline_runs": one.baseline_n,
            "test": one.test,
            "p": one.p,
        }
        for one in found
    ]


def run_rows(comparison: Comparison, metrics: list[str]) -> list[dict[str, Any]]:
    """Return the rows of `runs.csv`: every run with its setting, state and numbers."""
    return [
        {
            "setting": row.label,
            "run": str(run.path),
            "status": run.results["status"],
            "seed": run.results.get("seed"),
            "reached": run.results.get("samples"),
            **{name: run.results.get(name) for metric in metrics for name in (metric, f"{metric}{STANDARD_ERROR}")},
            "date": run.results.get("date"),
            "git_revision": run.results.get("git_revision"),
            "format": run.results.get("format"),
            "error": run.results.get("error"),
        }
        for row, run in comparison.runs
    ]


def markdown(comparison: Comparison, metrics: list[str], found: list[Difference]) -> str:
    """Format `comparison.md`: the table of settings, the differences, and the runs that are not completed."""
    rows = [[f"**{cell.text}**" if cell.best else cell.text for cell in row] for row in cells(comparison, metrics)]
    lines = ["# Comparison", "", *markdown_table(columns(comparison, metrics), rows), "", NOTE]
    if found:
        lines += [
            "",
            "## Differences",
            "",
            *markdown_table(DIFFERENCE_COLUMNS, difference_cells(found)),
            "",
            DIFFERENCES_NOTE,
        ]
    reasons = [
        [str(run.path), run.results["status"], run.results.get("error") or ""]
        for row, run in comparison.runs
        if not row.completed
    ]
    if reasons:
        lines += ["", "## Not completed", "", *markdown_table(["run", "status", "reason"], reasons)]
    return "\n".join([*lines, ""])


def direction(metric: str) -> str:
    """Say which values of a metric are better."""
    return {1: "higher is better", -1: "lower is better", None: ""}[sign(metric)]


def _first_columns(comparison: Comparison) -> list[str]:
    """Return the settings as columns, or one column of labels if these alone tell the rows apart."""
    return comparison.keys if _keys_are_enough(comparison) else ["setting", *comparison.keys]


def _first_cells(comparison: Comparison, row: Row) -> list[str]:
    values = [row.settings.get(key, "") for key in comparison.keys]
    return values if _keys_are_enough(comparison) else [row.label, *values]


def _keys_are_enough(comparison: Comparison) -> bool:
    """Tell whether no two rows have the same values of the settings that differ."""
    values = {tuple(row.settings.get(key) for key in comparison.keys) for row in comparison.rows}
    return bool(comparison.keys) and len(values) == len(comparison.rows)


def _reached(row: Row) -> int | None:
    reached = {run.results.get("samples") for run in row.runs}
    return reached.pop() if len(reached) == 1 else None


def _samples(row: Row) -> str:
    reached = [run.results.get("samples") or 0 for run in row.runs]
    first, last = f"{min(reached):,}", f"{max(reached):,}"
    return first if first == last else f"{first} to {last}"


def _number(row: Row, metric: str) -> str:
    mean = row.runs.mean(metric)
    if mean is None:
        return ""
    counts = {run.results.get(metric) for run in row.runs}
    if len(counts) == 1 and isinstance(count := counts.pop(), int):
        return f"{count:,}"
    return row.runs.shown(metric)


def _signed(one: Difference) -> str:
    text = shown(one.mean, one.error)
    return text if one.mean < 0 else f"+{text}"
