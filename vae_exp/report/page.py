"""What a report shows, and the page made of it: `page.html`, `page.css` and `page.js` with the content as JSON."""

import base64
import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import quote

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Series:
    """One curve: (x, mean, standard deviation). What has the same label, or split, is hidden with one button."""

    label: str
    split: str
    points: list[tuple[float, float, float]]
    published: bool = False


@dataclass(frozen=True)
class Chart:
    """Curves over a logarithmic axis.

    Attributes:
        title: Of the chart.
        series: Its curves.
        unit: Of the values.
        x: What the axis is called.
        sizes: Whether it is of a few sizes, not of samples.
        limits: Of the values; None for all of them.
    """

    title: str
    series: list[Series]
    unit: str = ""
    x: str = "training samples evaluated"
    sizes: bool = False
    limits: tuple[float, float] | None = None


@dataclass(frozen=True)
class Link:
    """A cell that leads to another file, by its path from the page."""

    text: str
    href: str

    @classmethod
    def to(cls, text: str, path: str) -> "Link":
        """A link to a relative path, whatever characters it has."""
        return cls(text, quote(f"./{path}"))


@dataclass(frozen=True)
class Table:
    """Cells are text, numbers, links, or None."""

    title: str
    columns: list[str]
    rows: list[list[Any]]
    note: str = ""

    @classmethod
    def filled(cls, title: str, columns: list[str], rows: Sequence[Sequence[Any]], note: str = "") -> "Table":
        """A table without its empty columns."""
        kept = [i for i in range(len(columns)) if any(row[i] not in (None, "") for row in rows)]
        return cls(title, [columns[i] for i in kept], [[row[i] for i in kept] for row in rows], note)


@dataclass(frozen=True)
class Picture:
    """A PNG inside the page."""

    name: str
    source: str

    @classmethod
    def read(cls, path: Path) -> "Picture":
        """From its file."""
        return cls(path.stem.replace("_", " "), f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}")


@dataclass(frozen=True)
class Page:
    """A report, from top to bottom.

    Attributes:
        title: What it is of.
        status: How that ended.
        parts: What it was made of.
        command: How it was started.
        notice: What went wrong.
        facts: The numbers that count, the first above all.
        summary: Tables before the curves.
        charts: The curves; points that are not finite are left out.
        pictures: The pictures.
        wide_pictures: Whether each takes the whole width.
        tables: Tables after them.
        config: The configuration, as YAML.
        origin: With what, where and when.
    """

    title: str
    status: str
    parts: dict[str, Any] = field(default_factory=dict)
    command: str = ""
    notice: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    summary: list[Table] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    wide_pictures: bool = False
    tables: list[Table] = field(default_factory=list)
    config: str = ""
    origin: str = ""

    def html(self) -> str:
        """The whole page in one file."""
        script = (FOLDER / "page.js").read_text(encoding="utf-8")
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        return Template((FOLDER / "page.html").read_text(encoding="utf-8")).substitute(
            title=escape(self.title),
            style=(FOLDER / "page.css").read_text(encoding="utf-8"),
            script=script,
            script_hash=f"sha256-{digest}",  # the browser runs no other
            data=as_json(asdict(self)),
        )


def finite(points: list[tuple[float, float, float]]) -> list[tuple[float, float, float]]:
    """The points that can be drawn."""
    return [point for point in points if all(map(math.isfinite, point)) and point[0] > 0]


def as_json(value: Any) -> str:
    """JSON that may stand in a <script>: nothing in it can end the element or open another."""
    return json.dumps(_plain(value), allow_nan=False).replace("<", "\\u003c")


def _plain(value: Any) -> Any:
    """Numbers that JSON does not have as words."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
