"""What a notebook shows of a run or a sweep: numbers and small pictures, as HTML."""

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from vae_exp.results.curves import MOST_PIXELS
from vae_exp.results.files import read_or_warn, reporting_read_errors
from vae_exp.results.jobs import read_job
from vae_exp.results.report.facts import facts
from vae_exp.results.report.machine import in_short
from vae_exp.results.report.run import PARTS
from vae_exp.results.run_directory import RunDirectory

HEIGHT = 180
"""The height of a small picture, in pixels."""

PICTURES = ("samples", "reconstructions", "manifold", "latent_scatter", "analogies", "filters")
CELL = '"text-align:left;padding:2px 12px 2px 0;border:none;background:none"'


def run_as_html(path: Path, metrics: Mapping[str, Any]) -> str:
    """Summarise a run: how it ended, its parts, its main numbers, and its pictures in a small size."""
    parts = {name: metrics[name] for name in PARTS if metrics.get(name) is not None}
    objects = {f"{place} (an object)": what for place, what in metrics.get("objects", {}).items()}
    cost = {"training": in_short(metrics)} if metrics.get("train_seconds") else {}
    shown = {"status": metrics["status"]} | facts(dict(metrics)) | cost
    about = " · ".join(f"{escape(str(name))} {escape(str(value))}" for name, value in parts.items())
    folder = read_job(path).figures
    files = [folder / f"{name}.png" for name in PICTURES]
    return "".join(
        [
            f"<div><b>{escape(RunDirectory(path).name)}</b><br><small>{about}</small>",
            table(["", ""], [[name, number(value)] for name, value in (shown | objects).items()]),
            _row_of_pictures(file for file in files if file.exists()),
            f"<small>{escape(str(path))}</small></div>",
        ]
    )


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Format a table as HTML."""
    head = [_line("th", columns)] if any(columns) else []
    lines = [*head, *(_line("td", row) for row in rows)]
    return f'<table style="border:none">{"".join(lines)}</table>'


def _line(tag: str, cells: Iterable[Any]) -> str:
    return f"<tr>{''.join(f'<{tag} style={CELL}>{escape(str(cell))}</{tag}>' for cell in cells)}</tr>"


def number(value: Any) -> str:
    """Format a value of a table."""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f"{value:,.2f}" if isinstance(value, float) else str(value)


def _row_of_pictures(files: Iterable[Path]) -> str:
    tags = [tag for file in files if (tag := read_or_warn(_small_picture, file))]
    return f'<div style="display:flex;flex-wrap:wrap;gap:8px;margin:6px 0">{"".join(tags)}</div>' if tags else ""


def _small_picture(path: Path) -> str:
    """Read a PNG and return it in a small size, as the text of an <img>.

    Raises:
        RunError: The file cannot be read.
    """
    with reporting_read_errors(path), PngImageFile(path) as image:
        if image.width * image.height > MOST_PIXELS:
            raise ValueError(f"it has {image.width} × {image.height} pixels")
        small = image.convert("RGB")
        small.thumbnail((4 * HEIGHT, HEIGHT), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    small.quantize(64).save(file, "PNG", optimize=True)
    source = base64.b64encode(file.getvalue()).decode()
    name = escape(path.stem.replace("_", " "))
    return f'<img alt="{name}" title="{name}" height="{HEIGHT}" src="data:image/png;base64,{source}">'
