"""Tables of the jobs of a sweep: the rows of `sweep.csv` and the text of `sweep.md`."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vae_exp.results.jobs import Group, Job, groups, varied_keys
from vae_exp.results.metrics import SPLITS

FIRST_COLUMNS = ("samples", "step", "train/bound", "validation/bound", "test/bound")
LAST_COLUMNS = ("bounds", "steps_per_second", "train_seconds", "device", "git_revision", "error")
MACHINE_COLUMNS = ("steps/s", "minutes")
"""Columns of the table of settings that are about the machine."""

METRIC_LABELS = {
    "log_likelihood": "log p(x), estimated",
    "log_likelihood given y": "log p(x|y), estimated",
    "bound": "bound",
    "bound given y": "bound on log p(x|y)",
    "nll": "−nll",
    "error": "−error",
}
COLUMN_HEADS = {name: shown if name == "error" else f"{shown}, nats/image" for name, shown in METRIC_LABELS.items()}
ERRORS_NOTE = (
    "± is the standard error over the seeds. A single run has none; its digits are those that the standard error over "
    "the images allows."
)
BOUNDS_NOTE = "Models that are given the labels bound log p(x|y), which cannot be compared with a bound on log p(x)."


def csv_text(table: list[dict[str, Any]]) -> str:
    """Format `sweep.csv`: one line of column names and one line per row. No spreadsheet reads a cell as a formula."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([_inert(cell) for cell in cells] for cells in (table[0], *(row.values() for row in table)))
    return text.getvalue()


def rows(jobs: list[Job]) -> list[dict[str, Any]]:
    """Make the rows of `sweep.csv`: every job with its varied values, its status, and every metric that any job has."""
    keys = varied_keys(jobs)
    metrics = sorted({n for job in jobs for n in job.results if n.partition("/")[0] in SPLITS})
    names = [*FIRST_COLUMNS, *(name for name in metrics if name not in FIRST_COLUMNS), *LAST_COLUMNS]
    return [
        {"job": job.number, "status": job.results["status"], **dict.fromkeys(keys)}
        | {name: job.results.get(name) for name in names}
        | {"bounds": job.bounds}
        | {key: job.value(key) for key in keys}  # last: a varied `samples` shows the budget, not the samples reached
        | {"directory": str(job.path)}
        for job in jobs
    ]


def markdown(path: Path, jobs: list[Job]) -> str:
    """Format `sweep.md`: means over the seeds, the paper's value at the same number of samples, and the failures."""
    columns, cells = summary(jobs)
    completed = sum(job.completed for job in jobs)
    lines = [f"# {_text(title(path))}", "", f"{completed} of {len(jobs)} jobs completed. {_text(origin(jobs))}"]
    if cells:
        lines += ["", *markdown_table(columns, cells), "", unit(jobs)]
    unfinished = [job for job in jobs if not job.completed]
    if unfinished:
        lines += ["", "## Not completed", ""]
        lines += markdown_table(
            ["job", "status", "overrides", "reason"],
            [[job.number, job.results["status"], _words(job), job.results.get("error") or ""] for job in unfinished],
        )
    return "\n".join([*lines, ""])


def summary(jobs: list[Job]) -> tuple[list[str], list[list[str]]]:
    """Return the columns, and one row per setting: its values, the means over its seeds, and the paper's value."""
    keys = [key for key in varied_keys(jobs) if key != "seed"]
    splits = [s for s in SPLITS if s != "validation" or any(job.measure(s)[0] in job.results for job in jobs)]
    heads = [f"{split} {COLUMN_HEADS[name]}" for name in measures(jobs) for split in splits]
    columns = [*keys, "runs", "reached", *heads, "paper, test", "test − paper", *MACHINE_COLUMNS]
    classifiers = any("test/error" in job.results for job in jobs)
    columns += ["test error, %"] * classifiers
    return columns, [
        [*values, *_cells(group, measures(jobs), splits), *[group.shown("test/error", 100)] * classifiers]
        for values, group in groups(jobs).items()
    ]


def unit(jobs: list[Job]) -> str:
    """Describe the metrics of the table and their unit, for the note below it."""
    names = ", ".join(METRIC_LABELS[name] for name in measures(jobs))
    nats = "" if measures(jobs) == ["error"] else " in nats per image"
    warning = f" {BOUNDS_NOTE}" if any(name.endswith(" given y") for name in measures(jobs)) else ""
    return f"For each split: {names}{nats}, higher is better; {ERRORS_NOTE}{warning}"


def title(path: Path) -> str:
    """Return the name of a sweep: its experiment and its folder."""
    return f"{path.absolute().parent.name}/{path.absolute().name}"


def measures(jobs: list[Job]) -> list[str]:
    """Return the measures that the completed jobs are ranked by, without duplicates."""
    return list(dict.fromkeys(job.judged_by("test") for job in jobs if job.completed))


def _cells(group: Group, measured: list[str], splits: list[str]) -> list[str]:
    """Format the numbers of a group. Every measure has its own columns."""
    job = group[0]
    samples = job.results["samples"]
    curve = job.published("test")
    theirs = None if curve is None else curve.at(samples)
    reached = {split: group.shown(*job.measure(split)) for split in splits}
    name, sign = job.measure("test")
    test = group.mean(name)
    speed, seconds = group.mean("steps_per_second"), group.mean("train_seconds")
    return [
        str(len(group)),
        f"{samples:,}",
        *(reached[split] if name == job.judged_by(split) else "" for name in measured for split in splits),
        f"{theirs:.1f}" if theirs is not None else "",
        f"{sign * test[0] - theirs:+.1f}" if theirs is not None and test else "",
        f"{speed[0]:.0f}" if speed else "",
        f"{seconds[0] / 60:.1f}" if seconds else "",
    ]


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Format the lines of a Markdown table. Nothing in its cells becomes a link, a picture or another cell."""
    return [_line(*heads), f"|{'---|' * len(heads)}", *(_line(*row) for row in rows)]


def _words(job: Job) -> str:
    return " ".join(f"{key}={value}" for key, value in job.overrides.items())


def _line(*cells: str) -> str:
    return f"| {' | '.join(_text(cell) for cell in cells)} |"


def _text(value: Any) -> str:
    """Escape a typed or stored value for Markdown: one line without markup, links or pictures."""
    text = "".join(character for character in " ".join(str(value).split()) if character.isprintable())
    for markup, escaped in {"\\": "\\\\", "|": "\\|", "<": "&lt;", "](": "]\\("}.items():
        text = text.replace(markup, escaped)
    return text


def _inert(cell: Any) -> Any:
    """Return a cell of a CSV file. A text that a spreadsheet would read as a formula gets an apostrophe in front."""
    if not isinstance(cell, str) or not cell.startswith(("=", "+", "-", "@", "\t", "\r")):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell


def origin(jobs: list[Job]) -> str:
    """Return the commits, devices and versions of torch of the jobs, each once."""
    names = {"git_revision": "commit", "device": "on", "version/torch": "torch"}
    values = {
        word: ", ".join(sorted({str(job.results[name]) for job in jobs if job.results.get(name)}))
        for name, word in names.items()
    }
    return "; ".join(f"{word} {value}" for word, value in values.items() if value)
