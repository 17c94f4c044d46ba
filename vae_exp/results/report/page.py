"""The content of a report, and the page made from it: `page.html`, `page.css`, the scripts and the content as JSON."""

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

from vae_exp.figures.captions import CAPTIONS

FOLDER = Path(__file__).parent

SCRIPTS = ("elements", "scales", "curves", "tables", "pictures", "page")
"""The scripts in the order in which they use each other."""


@dataclass(frozen=True)
class Series:
    """One curve of points (x, value, standard error). One button hides all curves with the same label or split."""

    label: str
    split: str
    points: list[tuple[float, float, float]]
    published: bool = False


@dataclass(frozen=True)
class Chart:
    """Curves over a logarithmic axis.

    Attributes:
        title: The title of the chart.
        series: Its curves.
        unit: The unit of the values.
        x: The label of the x axis.
        sizes: Whether the x axis shows a few sizes, not samples.
        limits: The limits of the y axis; None shows all values.
    """

    title: str
    series: list[Series]
    unit: str = ""
    x: str = "training samples evaluated"
    sizes: bool = False
    limits: tuple[float, float] | None = None


@dataclass(frozen=True)
class Link:
    """A table cell that links to another file, with a path relative to the page."""

    text: str
    href: str

    @classmethod
    def to(cls, text: str, path: str) -> "Link":
        """Make a link to a relative path. Special characters in the path are escaped."""
        return cls(text, quote(f"./{path}"))


@dataclass(frozen=True)
class Table:
    """A table. Its cells are text, numbers, links, or None."""

    title: str
    columns: list[str]
    rows: list[list[Any]]
    note: str = ""

    @classmethod
    def filled(cls, title: str, columns: list[str], rows: Sequence[Sequence[Any]], note: str = "") -> "Table":
        """Make a table without its empty columns."""
        kept = [i for i in range(len(columns)) if any(row[i] not in (None, "") for row in rows)]
        return cls(title, [columns[i] for i in kept], [[row[i] for i in kept] for row in rows], note)


@dataclass(frozen=True)
class Bars:
    """A bar for each of several things. Bars below a threshold have another colour.

    Attributes:
        title: The title of the chart.
        values: The name and the value of every bar, in their order.
        threshold: The threshold.
        unit: The unit of the values.
        note: The text above the bars.
    """

    title: str
    values: list[tuple[str, float]]
    threshold: float
    unit: str = ""
    note: str = ""


@dataclass(frozen=True)
class Picture:
    """A PNG that is embedded in the page, with what it shows as a sentence."""

    name: str
    source: str
    caption: str = ""

    @classmethod
    def read(cls, path: Path) -> "Picture":
        """Read a picture from its file."""
        source = f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
        return cls(path.stem.replace("_", " "), source, CAPTIONS.get(path.stem, ""))


@dataclass(frozen=True)
class Gallery:
    """Pictures of the same kind, side by side."""

    title: str
    pictures: list[Picture]


@dataclass(frozen=True)
class Fold:
    """Tables that are shown when the reader opens them."""

    title: str
    tables: list[Table]


@dataclass(frozen=True)
class Reproduction:
    """How to make the results again, and how to cite them.

    Attributes:
        commands: The lines for a shell, with the versions as comments.
        note: What else has to be the same.
        citation: A sentence with the result and where it comes from.
        bibtex: An entry for the program.
        source: What the experiment is, and the paper it is from.
    """

    commands: str
    note: str
    citation: str
    bibtex: str
    source: str = ""


@dataclass(frozen=True)
class Page:
    """The content of a report, in the order of the page.

    Attributes:
        title: The name of the run or sweep.
        status: How the run or sweep ended.
        parts: The dataset, architecture and other parts of the run.
        command: The command that started it.
        links: Links to other pages of it.
        notice: The error message, if it failed.
        facts: The main results; the first is the most important.
        summary: Tables before the curves.
        charts: The curves, without points that are not finite.
        bars: Bars after the curves; None if there are none.
        pictures: The pictures.
        wide_pictures: Whether each picture takes the whole width.
        galleries: Pictures of several runs, side by side.
        model: The page of the model, which is shown within this one.
        tables: Tables after the pictures.
        machine: What is about the machine, folded.
        reproduction: How to make the results again.
        settings: The settings that differ from those of the experiment.
        config: The config, as YAML.
        origin: The commit, the date or device, and the versions.
    """

    title: str
    status: str
    parts: dict[str, Any] = field(default_factory=dict)
    command: str = ""
    links: list[Link] = field(default_factory=list)
    notice: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    summary: list[Table] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    bars: Bars | None = None
    pictures: list[Picture] = field(default_factory=list)
    wide_pictures: bool = False
    galleries: list[Gallery] = field(default_factory=list)
    model: Link | None = None
    tables: list[Table] = field(default_factory=list)
    machine: Fold | None = None
    reproduction: Reproduction | None = None
    settings: Table | None = None
    config: str = ""
    origin: str = ""

    def html(self) -> str:
        """Make the page as the text of one HTML file."""
        files = [(FOLDER / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS]
        script = "\n".join(['"use strict";', *files])
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        return Template((FOLDER / "page.html").read_text(encoding="utf-8")).substitute(
            title=escape(self.title),
            style=(FOLDER / "page.css").read_text(encoding="utf-8"),
            script=script,
            script_hash=f"sha256-{digest}",  # the browser runs no other script
            data=as_json(asdict(self)),
        )


def finite(points: list[tuple[float, float, float]]) -> list[tuple[float, float, float]]:
    """Return the points that can be drawn: finite, and with x > 0 for the logarithmic axis."""
    return [point for point in points if all(map(math.isfinite, point)) and point[0] > 0]


def as_json(value: Any) -> str:
    """Format JSON for a <script> element. Nothing in the JSON can close the element or open another."""
    return json.dumps(_plain(value), allow_nan=False).replace("<", "\\u003c")


def _plain(value: Any) -> Any:
    """Replace NaN and infinities by strings: JSON has no such numbers."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
