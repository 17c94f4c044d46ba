"""A sweep's directory as a table and pictures: `python -m vae_exp.sweep <dir>` makes them again.

`sweep.csv` has a row per job, `sweep.md` the means over the seeds beside the paper's, `figure2.png` (`figure3.png`
where log p(x) was estimated) the curves, of a search `search.png` what was tried; the jobs' own pictures are put beside
each other; `report.html` has all of it.
"""

import csv
import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vae_exp.config.stored import read_config
from vae_exp.errors import RunError
from vae_exp.jobs import Group, Job, groups, read_jobs, varied
from vae_exp.metrics import SPLITS
from vae_exp.results.files import known, readable, replacing, write_atomically
from vae_exp.search import best, trials
from vae_exp.sweep_directory import SweepDirectory

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from vae_exp.figures.curves import Panel

log = logging.getLogger(__name__)

FIRST = ("samples", "step", "train/bound", "validation/bound", "test/bound")
NAMES = {
    "log_likelihood": "log p(x), estimated",
    "log_likelihood given y": "log p(x|y), estimated",
    "bound": "bound",
    "bound given y": "bound on log p(x|y)",
    "nll": "−nll",
    "error": "−error",
}
HEADS = {name: shown if name == "error" else f"{shown}, nats/image" for name, shown in NAMES.items()}
SIZES = {"architecture.latent_dim": "$N_z$", "dataset.train_size": "$N_{train}$"}
LAST = ("bounds", "steps_per_second", "train_seconds", "device", "git_revision", "error")
USAGE = "python -m vae_exp.sweep <directory of a sweep> [trust=<package>]: write its tables, pictures and report again"
NOT_ALIKE = "Models that are told the labels bound log p(x|y), which cannot be compared with a bound on log p(x)."
MOST_PIXELS = 10**8
"""The largest picture of a job that is shown: a small file can hold one that fills the memory."""

PICTURES = ("samples.png", "manifold.png", "reconstructions.png", "filters.png")


def report(path: str | Path) -> Path:
    """Write `sweep.csv`, `sweep.md`, the pictures and `report.html` of a sweep's directory.

    Returns:
        `sweep.md`.

    Raises:
        RunError: It holds no run.
    """
    from vae_exp.report import try_report

    path, jobs = Path(path), read_jobs(path)
    table = rows(jobs)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([_inert(cell) for cell in cells] for cells in (table[0], *(row.values() for row in table)))
    write_atomically(path / "sweep.csv", text.getvalue())
    write_atomically(path / "sweep.md", markdown(path, jobs))
    for name, figure in pictures(path, jobs):
        with replacing(path / name) as file:
            figure.savefig(file, dpi=150, bbox_inches="tight")
    try_report(path)
    return path / "sweep.md"


def rows(jobs: list[Job]) -> list[dict[str, Any]]:
    """`sweep.csv`: every job, its varied values, its status, and every metric that any of them has."""
    keys = varied(jobs)
    metrics = sorted({n for job in jobs for n in job.results if n.partition("/")[0] in SPLITS})
    names = [*FIRST, *(name for name in metrics if name not in FIRST), *LAST]
    return [
        {"job": job.number, "status": job.results["status"], **dict.fromkeys(keys)}
        | {name: job.results.get(name) for name in names}
        | {"bounds": job.bounds}
        | {key: job.value(key) for key in keys}  # last: a budget that was asked for is not the one that was reached
        | {"directory": str(job.path)}
        for job in jobs
    ]


def markdown(path: Path, jobs: list[Job]) -> str:
    """`sweep.md`: the means over the seeds, beside the paper's bound at the same number of samples; the failures."""
    columns, cells = summary(jobs)
    completed = sum(job.completed for job in jobs)
    lines = [f"# {_text(title(path))}", "", f"{completed} of {len(jobs)} jobs completed. {_text(origin(jobs))}"]
    if cells:
        lines += ["", _line(*columns), f"|{'---|' * len(columns)}", *(_line(*row) for row in cells), "", unit(jobs)]
    rest = [job for job in jobs if not job.completed]
    if rest:
        lines += ["", "## Not completed", "", _line("job", "status", "overrides", "reason"), "|---|---|---|---|"]
        for job in rest:
            words = " ".join(f"{key}={value}" for key, value in job.overrides.items())
            lines.append(_line(job.number, job.results["status"], words, job.results.get("error") or ""))
    return "\n".join([*lines, ""])


def summary(jobs: list[Job]) -> tuple[list[str], list[list[str]]]:
    """Columns and a row per setting: its values, the means over its seeds, the paper's number beside them."""
    keys = [key for key in varied(jobs) if key != "seed"]
    splits = [s for s in SPLITS if s != "validation" or any(job.measure(s)[0] in job.results for job in jobs)]
    heads = [f"{split} {HEADS[name]}" for name in measures(jobs) for split in splits]
    columns = [*keys, "runs", "reached", *heads, "paper, test", "test − paper", "steps/s", "minutes"]
    classifiers = any("test/error" in job.results for job in jobs)
    columns += ["test error, %"] * classifiers
    return columns, [
        [*values, *_cells(group, measures(jobs), splits), *[_percent(group.mean("test/error"))] * classifiers]
        for values, group in groups(jobs).items()
    ]


def unit(jobs: list[Job]) -> str:
    """What the numbers of the splits are."""
    shown = ", ".join(NAMES[name] for name in measures(jobs))
    nats = "" if measures(jobs) == ["error"] else " in nats per image"
    given = f" {NOT_ALIKE}" if any(name.endswith(" given y") for name in measures(jobs)) else ""
    return f"Of each split: {shown}{nats}, higher is better; ± is over seeds.{given}"


def title(path: Path) -> str:
    """A sweep is called by its experiment and its own folder."""
    return f"{path.absolute().parent.name}/{path.absolute().name}"


def pictures(path: Path, jobs: list[Job]) -> "Iterator[tuple[str, Figure]]":
    """The paper's Figure 2 of these jobs, or what a search has tried; and their own pictures beside each other."""
    from vae_exp.figures.curves import bound_curves
    from vae_exp.figures.images import collage
    from vae_exp.figures.search import slices

    directory = SweepDirectory(path)
    if directory.is_search and (found := trials(directory, jobs)):
        tried = {key: [trial.job.value(key) for trial in found] for key in varied([trial.job for trial in found])}
        if tried:
            values = [trial.value for trial in found]
            yield "search.png", slices(tried, values, found.index(best(found)), found[0].metric, title(path))
    elif curves := panels(jobs):
        judged_by = measures(jobs)
        ylabel = f"{', '.join(NAMES[name] for name in judged_by)} (nats per image)"
        name = "figure3.png" if judged_by == ["log_likelihood"] else "figure2.png"
        yield name, bound_curves(curves, title(path), SIZES[size_key(jobs)], ylabel)
    for name in PICTURES:
        files = {", ".join(values): group[0].figures / name for values, group in groups(jobs).items()}
        drawn = {setting: image for setting, file in files.items() if (image := _picture(file)) is not None}
        if len(drawn) > 1:
            yield name, collage(drawn, title(path))


def _picture(path: Path) -> Any | None:
    """A job's picture, (H, W, C); None where there is none that can be read."""
    from matplotlib.image import imread
    from PIL.PngImagePlugin import PngImageFile

    def read(path: Path) -> Any:
        with readable(path):
            with PngImageFile(path) as image:  # reads no more than the size
                if image.width * image.height > MOST_PIXELS:
                    raise ValueError(f"it has {image.width} × {image.height} pixels")
            return imread(path)

    return known(read, path) if path.exists() else None


def panels(jobs: list[Job]) -> "list[Panel]":
    """What the curves' picture draws: a panel per size, in it every setting's curves and the paper's."""
    from vae_exp.figures.curves import Line, Panel

    size = size_key(jobs)
    keys = [key for key in varied(jobs) if key not in ("seed", size)]
    by_size: dict[int, list[Line]] = {}
    for group in groups(jobs).values():
        job = group[0]
        if not job.history or not isinstance(job.results.get(size), int):
            continue
        of = [NAMES[job.judged_by("test")]] if len(measures(jobs)) > 1 else []
        label = ", ".join([*(job.value(key) for key in keys), *of])
        for split in ("train", "test"):
            name, sign = job.measure(split)
            points = [(n, sign * mean, deviation) for n, mean, deviation in group.curve(name)]
            line = Line(label, split, points, job.published(split))
            by_size.setdefault(job.results[size], []).append(line)
    return [Panel(size, lines) for size, lines in sorted(by_size.items())]


def _cells(group: Group, shown: list[str], splits: list[str]) -> list[str]:
    """A group's numbers; those of each measure in columns of their own."""
    job = group[0]
    samples = job.results["samples"]
    curve = job.published("test")
    theirs = None if curve is None else curve.at(samples)
    reached = {split: _signed(group, *job.measure(split)) for split in splits}
    test = reached["test"]
    speed, seconds = group.mean("steps_per_second"), group.mean("train_seconds")
    return [
        str(len(group)),
        f"{samples:,}",
        *(_number(reached[split] if name == job.judged_by(split) else None) for name in shown for split in splits),
        f"{theirs:.1f}" if theirs is not None else "",
        f"{test[0] - theirs:+.1f}" if theirs is not None and test else "",
        f"{speed[0]:.0f}" if speed else "",
        f"{seconds[0] / 60:.1f}" if seconds else "",
    ]


def _signed(group: Group, name: str, sign: int) -> tuple[float, float] | None:
    values = group.mean(name)
    return values and (sign * values[0], values[1])


def measures(jobs: list[Job]) -> list[str]:
    """What the completed jobs are judged by, each name once."""
    return list(dict.fromkeys(job.judged_by("test") for job in jobs if job.completed))


def size_key(jobs: list[Job]) -> str:
    """The key whose values have a panel each: the latent size, or in its place the training set's."""
    keys = varied(jobs)
    of_data = "dataset.train_size" in keys and "architecture.latent_dim" not in keys
    whole = any(
        job.completed and job.results.get("dataset.train_size") is None for job in jobs
    )  # a size without a number
    return "dataset.train_size" if of_data and not whole else "architecture.latent_dim"


def _number(values: tuple[float, float] | None) -> str:
    if values is None:
        return ""
    mean, deviation = values
    if abs(mean) >= 1e6:  # on its way to divergence
        return f"{mean:.3g}"
    return f"{mean:.2f} ± {deviation:.2f}" if deviation else f"{mean:.2f}"


def _percent(values: tuple[float, float] | None) -> str:
    return _number(values and (100 * values[0], 100 * values[1]))


def _line(*cells: str) -> str:
    return f"| {' | '.join(_text(cell) for cell in cells)} |"


def _text(value: Any) -> str:
    """What was typed or stored, in Markdown: one line that holds no markup, link or picture."""
    text = "".join(character for character in " ".join(str(value).split()) if character.isprintable())
    for markup, escaped in {"\\": "\\\\", "|": "\\|", "<": "&lt;", "](": "]\\("}.items():
        text = text.replace(markup, escaped)
    return text


def _inert(cell: Any) -> Any:
    """A cell of a CSV file: a text that a spreadsheet would take for a formula begins with an apostrophe."""
    if not isinstance(cell, str) or not cell.startswith(("=", "+", "-", "@", "\t", "\r")):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell


def origin(jobs: list[Job]) -> str:
    """Commit, device and versions, each once."""
    names = {"git_revision": "commit", "device": "on", "version/torch": "torch"}
    found = {
        word: ", ".join(sorted({str(job.results[name]) for job in jobs if job.results.get(name)}))
        for name, word in names.items()
    }
    return "; ".join(f"{word} {value}" for word, value in found.items() if value)


@contextmanager
def reported(path: Path) -> Iterator[None]:
    """Write the table and the pictures of the sweep that goes on inside, however it ends."""
    try:
        yield
    finally:
        try:
            page = report(path)
            print(f"\n{page.read_text(encoding='utf-8')}\nAll of it in {page.parent}")
            _log(path)
        except RunError as error:  # no job has begun
            log.debug("%s", error)
        except Exception as error:  # not in the place of what ended the sweep
            log.error("The table of %s could not be made: %s", path, error)


def _log(path: Path) -> None:
    """The table and the pictures to the loggers of the jobs."""
    from vae_exp.logger import log_sweep
    from vae_exp.run_directory import RunDirectory

    jobs = read_jobs(path)
    recorded = [RunDirectory(job.path).config for job in jobs]
    configs = (config for file in recorded if file.exists() and (config := known(read_config, file)))
    for config in islice(configs, 1):
        try:
            log_sweep(path, config, rows(jobs), sorted(path.glob("*.png")))
        except Exception as error:  # the sweep's own files are written
            log.error("The table of %s could not be logged: %s", path, error)


def main() -> None:
    """`python -m vae_exp.sweep <dir>`."""
    from vae_exp.__main__ import CONFIG_DIR
    from vae_exp.arguments import directory_argument
    from vae_exp.config.trust import check_directory
    from vae_exp.explain import readable_errors

    with readable_errors(CONFIG_DIR):
        path, trust = directory_argument(USAGE)
        check_directory(path, trust)
        print(report(path).read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
