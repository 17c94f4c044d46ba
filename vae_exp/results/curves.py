"""Pictures of a sweep: the paper's Figures 2 and 3, the values a search tried, and the jobs' own pictures together."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vae_exp.results.files import read_or_warn, reporting_read_errors
from vae_exp.results.jobs import Job, groups, varied_keys
from vae_exp.results.search import best, trials
from vae_exp.results.sweep_directory import SweepDirectory
from vae_exp.results.tables import METRIC_LABELS, measures, title

if TYPE_CHECKING:
    from vae_exp.figures.curves import Panel
    from vae_exp.figures.figure import Figure

SIZES = {"architecture.latent_dim": "$N_z$", "dataset.train_size": "$N_{train}$"}
MOST_PIXELS = 10**8
"""Larger pictures of a job are not shown: a small file can unpack to a picture that fills the memory."""

MOST_CURVES = 7
"""Curves that one panel can show: the page has as many colours."""

PICTURES = ("samples.png", "manifold.png", "reconstructions.png", "filters.png")


def pictures(path: Path, jobs: list[Job]) -> "Iterator[tuple[str, Figure]]":
    """Draw the paper's Figure 2 or 3 for a grid, or the values a search tried; then collages of the jobs' own pictures.

    Yields:
        The name of each file and its figure.
    """
    from vae_exp.figures.curves import faceted_curves
    from vae_exp.figures.images import collage
    from vae_exp.figures.search import search_slices

    directory = SweepDirectory(path)
    if directory.is_search and (ranked := trials(directory, jobs)):
        tried = {
            key: [trial.job.value(key) for trial in ranked] for key in varied_keys([trial.job for trial in ranked])
        }
        if tried:
            values = [trial.value for trial in ranked]
            yield "search.png", search_slices(tried, values, ranked.index(best(ranked)), ranked[0].metric, title(path))
    elif curves := facets(jobs):
        measured = measures(jobs)
        ylabel = f"{', '.join(METRIC_LABELS[name] for name in measured)} (nats per image)"
        name = "figure3.png" if measured == ["log_likelihood"] else "figure2.png"
        yield name, faceted_curves(curves, title(path), SIZES[size_key(jobs)], ylabel)
    for name in PICTURES:
        files = {", ".join(values): group[0].figures / name for values, group in groups(jobs).items()}
        drawn = {setting: image for setting, file in files.items() if (image := _picture(file)) is not None}
        if len(drawn) > 1:
            yield name, collage(drawn, title(path))


def _picture(path: Path) -> Any | None:
    """Read a picture of a job, (H, W, C). Return None if the file is missing or cannot be read."""
    from matplotlib.image import imread
    from PIL.PngImagePlugin import PngImageFile

    def read(path: Path) -> Any:
        with reporting_read_errors(path):
            with PngImageFile(path) as image:  # opening reads only the header, with the size
                if image.width * image.height > MOST_PIXELS:
                    raise ValueError(f"it has {image.width} × {image.height} pixels")
            return imread(path)

    return read_or_warn(read, path) if path.exists() else None


def facets(jobs: list[Job]) -> "dict[str, list[Panel]]":
    """Collect the curves to draw, by facet: one panel per size, with the curves of every setting and of the paper.

    If one panel would have more curves than there are colours, each value of one varied key is a facet, such as
    `prior = flow`; otherwise there is a single facet, "".
    """
    keys = [key for key in varied_keys(jobs) if key not in ("seed", size_key(jobs))]
    drawn = [group[0] for group in groups(jobs).values() if _is_drawn(group[0], size_key(jobs))]
    if len(_labels(drawn, keys)) <= MOST_CURVES or len(keys) < 2:
        found = {"": _panels(jobs, keys)}
    else:
        left = {key: len(_labels(drawn, [other for other in keys if other != key])) for key in keys}
        facet = next((key for key in keys if left[key] <= MOST_CURVES), min(keys, key=lambda key: left[key]))
        others, name = [key for key in keys if key != facet], facet.rpartition(".")[2]
        values = dict.fromkeys(job.value(facet) for job in drawn)
        found = {f"{name} = {value}": _panels(jobs, others, {facet: value}) for value in values}
    return {title: panels for title, panels in found.items() if panels}


def panels(jobs: list[Job]) -> "list[Panel]":
    """Collect the panels of all facets, one after another."""
    return [panel for found in facets(jobs).values() for panel in found]


def _panels(jobs: list[Job], keys: list[str], only: dict[str, str] | None = None) -> "list[Panel]":
    """Collect the curves of the jobs with certain values, labelled by their values of the keys, by size."""
    from vae_exp.figures.curves import Line, Panel

    size = size_key(jobs)
    by_size: dict[int, list[Line]] = {}
    for group in groups(jobs).values():
        job = group[0]
        if not _is_drawn(job, size) or any(job.value(key) != value for key, value in (only or {}).items()):
            continue
        measured = [METRIC_LABELS[job.judged_by("test")]] if len(measures(jobs)) > 1 else []
        label = ", ".join([*(job.value(key) for key in keys), *measured])
        for split in ("train", "test"):
            name, sign = job.measure(split)
            points = [(n, sign * mean, error) for n, mean, error in group.curve(name)]
            line = Line(label, split, points, job.published(split))
            by_size.setdefault(job.results[size], []).append(line)
    return [Panel(size, lines) for size, lines in sorted(by_size.items())]


def _is_drawn(job: Job, size: str) -> bool:
    return bool(job.history) and isinstance(job.results.get(size), int)


def _labels(jobs: list[Job], keys: list[str]) -> set[tuple[str, ...]]:
    return {tuple(job.value(key) for key in keys) for job in jobs}


def size_key(jobs: list[Job]) -> str:
    """Return the key with one panel per value: the training set's size if it varies and the latent size does not.

    Otherwise, or if a completed job used the whole training set, it is the latent size.
    """
    keys = varied_keys(jobs)
    only_train_size = "dataset.train_size" in keys and "architecture.latent_dim" not in keys
    # null means the whole training set, which has no number to sort the panels by
    any_whole = any(job.completed and job.results.get("dataset.train_size") is None for job in jobs)
    return "dataset.train_size" if only_train_size and not any_whole else "architecture.latent_dim"
