"""metrics.csv: one row per evaluation; and what a model is judged by."""

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from vae_exp.results.files import append, readable, write_atomically

SPLITS = ("train", "validation", "test")
MEASURES = {"log_likelihood": 1, "bound": 1, "nll": -1, "error": -1}
"""What a model can be judged by, the most telling first; −1 where lower is better."""


class MetricsTable:
    """Append rows to a CSV file; the first row names the columns.

    Args:
        path: The file.
        until: Rows of more samples than this are dropped: a resumed run makes them again. So is a half-written one.
    """

    def __init__(self, path: Path, until: int = 0) -> None:
        self.path = path
        kept = [row for row in history(path) if row["samples"] <= until]
        self._columns = list(kept[0]) if kept else []
        if path.exists():
            write_atomically(path, _csv(self._columns, kept, header=bool(kept)))

    def append(self, row: dict[str, float]) -> None:
        """Add one row."""
        header = not self._columns
        self._columns = self._columns or list(row)
        append(self.path, _csv(self._columns, [row], header))


def read_metrics(path: Path) -> list[dict[str, float]]:
    """The complete rows of a metrics.csv.

    Raises:
        RunError: It cannot be read, or holds something other than numbers.
    """
    with readable(path):
        text = path.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]  # a row without its end may have lost digits
        rows = [row for row in csv.DictReader(io.StringIO(whole)) if _is_complete(row)]
        if rows and "samples" not in rows[0]:
            raise ValueError("it has no column samples")
        return [{name: _number(value) for name, value in row.items()} for row in rows]


def history(path: Path) -> list[dict[str, float]]:
    """The same of a run that may not have been evaluated yet: then there are none."""
    return read_metrics(path) if path.exists() else []


def by_measure(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Metric names by what they measure, then by split; one without a split has the split ""."""
    found: dict[str, dict[str, str]] = {}
    for name in names:
        split, _, of_split = name.partition("/")
        known = split in SPLITS and bool(of_split)
        found.setdefault(of_split if known else name, {})[split if known else ""] = name
    return found


def measure(metrics: Mapping[str, Any], split: str) -> tuple[str, int]:
    """What a split is judged by: the metric's name, and its sign where higher shall be better.

    log p(x) where it was estimated, else the bound, without a prior −nll.
    """
    known = [name for name in MEASURES if metrics.get(f"{split}/{name}") is not None]
    name = known[0] if known else "bound"  # before the first evaluation
    return f"{split}/{name}", MEASURES[name]


def headline(metrics: Mapping[str, float], split: str) -> tuple[str, float]:
    """The one number of a split and its name, higher is better."""
    name, sign = measure(metrics, split)
    return name if sign > 0 else f"-{name}", sign * metrics[name]


def told(metrics: Mapping[str, float], split: str) -> str:
    """The one number of a split as a line tells it."""
    name, value = headline(metrics, split)
    return f"{split}/error {-value:8.2%}" if name == f"-{split}/error" else f"{name} {value:9.2f}"


def _csv(columns: list[str], rows: list[dict[str, float]], header: bool) -> str:
    text = io.StringIO()
    # a run that an earlier version began keeps its columns
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _is_complete(row: Mapping[str | None, Any]) -> bool:
    return None not in row and None not in row.values() and "" not in row.values()


def _number(text: str) -> float:
    return int(text) if text.lstrip("-").isdigit() else float(text)
