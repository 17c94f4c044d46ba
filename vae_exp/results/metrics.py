"""`metrics.csv`, with one row per evaluation, and the metric that a model is ranked by."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vae_exp.results.files import append, reporting_read_errors, write_atomically
from vae_exp.results.numbers import shown

SPLITS = ("train", "validation", "test")
MEASURES = {"log_likelihood": 1, "bound": 1, "nll": -1, "error": -1}
"""The measures that a model can be ranked by, the most informative first. The sign is −1 if lower is better."""

STANDARD_ERROR = "_standard_error"
"""The end of the name of a standard error over the images: `test/bound_standard_error` is that of `test/bound`."""
KL_PER_LATENT = "kl_per_latent"
"""The KL of every latent. The columns of its table are `samples` and `<split>/kl_per_latent/<latent>`."""


def better(metric: str) -> int:
    """Return 1 if a higher value of a metric is better, −1 if a lower one is, 0 if that is not known."""
    return (MEASURES | {"bits_per_dim": -1}).get(metric.rpartition("/")[2], 0)


class MetricsTable:
    """Append rows to a CSV file; the first row names the columns.

    Args:
        path: The file.
        until: Rows with more samples than this are dropped, because a resumed run computes them again. A half-written
            row is dropped too.
    """

    def __init__(self, path: Path, until: int = 0) -> None:
        self.path = path
        kept = [row for row in history(path) if row["samples"] <= until]
        self._columns = list(kept[0]) if kept else []
        if path.exists():
            write_atomically(path, _csv(self._columns, kept, header=bool(kept)))

    def append(self, row: Mapping[str, float]) -> None:
        """Add one row."""
        header = not self._columns
        self._columns = self._columns or list(row)
        append(self.path, _csv(self._columns, [row], header))


def read_metrics(path: Path) -> list[dict[str, float]]:
    """Read the complete rows of a metrics.csv.

    Raises:
        RunError: The file cannot be read, or contains something other than numbers.
    """
    with reporting_read_errors(path):
        text = path.read_text(encoding="utf-8")
        complete = text[: text.rfind("\n") + 1]  # a row without a line end may have lost digits
        rows = [row for row in csv.DictReader(io.StringIO(complete)) if _is_complete(row)]
        if rows and "samples" not in rows[0]:
            raise ValueError("it has no column samples")
        return [{name: _number(value) for name, value in row.items()} for row in rows]


def history(path: Path) -> list[dict[str, float]]:
    """Read the complete rows of a metrics.csv. Return no rows if the file does not exist: nothing was evaluated yet."""
    return read_metrics(path) if path.exists() else []


def by_measure(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Group metric names by measure and then by split. A name without a split has the split "".

    Standard errors are left out, because they belong to another metric.
    """
    grouped: dict[str, dict[str, str]] = {}
    for name in names:
        if name.endswith(STANDARD_ERROR):
            continue
        split, _, measured = name.partition("/")
        has_split = split in SPLITS and bool(measured)
        grouped.setdefault(measured if has_split else name, {})[split if has_split else ""] = name
    return grouped


def standard_error(metrics: Mapping[str, Any], name: str) -> float | None:
    """Return the standard error of a metric over the images; None if it has none."""
    error: float | None = metrics.get(f"{name}{STANDARD_ERROR}")
    return error


def with_error(metrics: Mapping[str, Any], name: str) -> Any:
    """Return a metric as text with its standard error over the images, or just its value if it has none."""
    value, error = metrics.get(name), standard_error(metrics, name)
    return value if value is None or error is None else shown(value, error)


def measure(metrics: Mapping[str, Any], split: str) -> tuple[str, int]:
    """Return the name of the metric that ranks models on a split, and its sign (−1 if lower is better).

    The metric is log p(x) if it was estimated, or else the bound; for a model without a prior the nll, or else the
    error.
    """
    present = [name for name in MEASURES if metrics.get(f"{split}/{name}") is not None]
    name = present[0] if present else "bound"  # before the first evaluation
    return f"{split}/{name}", MEASURES[name]


def headline(metrics: Mapping[str, float], split: str) -> tuple[str, float]:
    """Return the name and value of the metric that ranks models on a split, signed so that higher is better."""
    name, sign = measure(metrics, split)
    return name if sign > 0 else f"-{name}", sign * metrics[name]


def format_headline(metrics: Mapping[str, float], split: str) -> str:
    """Format the headline metric of a split for a line of output."""
    name, value = headline(metrics, split)
    return f"{split}/error {-value:8.2%}" if name == f"-{split}/error" else f"{name} {value:9.2f}"


def _csv(columns: list[str], rows: Sequence[Mapping[str, float]], header: bool) -> str:
    text = io.StringIO()
    # a run that was started with an earlier version keeps the columns of its first row
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _is_complete(row: Mapping[str | None, Any]) -> bool:
    return None not in row and None not in row.values() and "" not in row.values()


def _number(text: str) -> float:
    return int(text) if text.lstrip("-").isdigit() else float(text)
