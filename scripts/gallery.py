"""Put one picture per experiment side by side, with the command and the result of each run, for docs/gallery.md.

    python scripts/gallery.py <folder> [<samples>] [<experiment>=<samples> …]

The folder holds a finished run of each experiment of conf/experiment, under its name; of a sweep, one job. Missing runs
are trained if a number of samples is given; no run gets more samples than its experiment has. The paper's figures are
not run: their tiles are cut from the pictures of docs/reproduction.md. It writes docs/images/gallery.png and the table
of docs/gallery.md.
"""

import math
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib import colormaps
from PIL import Image

import vae_exp
from vae_exp.config.defaults import defaults_of
from vae_exp.figures.figure import Figure
from vae_exp.figures.images import GAP
from vae_exp.figures.portfolio import drawings
from vae_exp.results.jobs import Job, read_job
from vae_exp.results.metrics import measure, standard_error, with_error
from vae_exp.results.numbers import shown

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"

RUNS = {
    "mnist_vae": "samples",
    "frey_face_vae": "samples",
    "figure4_mnist": "manifold",
    "figure4_frey_face": "manifold",
    "keras_mlp_vae": "latent_scatter",
    "keras_conv_vae": "manifold",
    "iwae_mnist": "samples",
    "vamp_mnist": "samples",
    "flows_mnist": "samples",
    "grey_mnist": "samples",
    "mnist_cvae": "samples",
    "mnist_m2": "samples",
    "mnist_m1_m2": "analogies",
    "mnist_aae": "latent_scatter",
    "mnist_aae_semi": "samples",
    "linear_ae": "filters",
    "mnist_ae": "reconstructions",
    "mnist_dae": "reconstructions",
    "mnist_sae": "filters",
    "mnist_sdae": "filters",
    "mnist_cae": "filters",
    "mnist_scae": "reconstructions",
    "mnist_cae_h": "filters",
    "mnist_cae_fine_tuned": "filters",
}
"""The picture of each experiment, by its name among the figures of a run."""

JOBS = {
    "iwae_mnist": "objective.samples=5",
    "vamp_mnist": "prior=vamp",
    "flows_mnist": "posterior=planar",
    "grey_mnist": "likelihood=continuous_bernoulli",
}
"""The job that stands for a sweep: its override."""

SWEEPS = {
    "figure2_mnist": (1078, 79, 1525, 434),
    "figure2_frey_face": (1540, 75, 1999, 435),
    "figure3": (594, 78, 1052, 434),
    "figure5": (1781, 101, 2114, 323),
}
"""The part of the picture of a sweep in docs/images: left, top, right, bottom, in pixels."""

PLAIN = ("logger=none", "callbacks.evaluate.decades=0.01")
"""Overrides that change no number: one evaluation, at the end, and no logger."""

UNSAID = (*PLAIN, "callbacks.figures=", "callbacks.evaluate.train_images=")
"""The beginnings of overrides that change no number in the table."""

COLUMNS = 7
ROWS_OF_IMAGES = 4
SHAPE = 1.5
"""The width of a tile, in its heights."""

SIDE = 13
ROWS_OF_MANIFOLD = 6
"""Images per side of a manifold, and the rows that are shown."""

BEGIN, END = "<!-- made by scripts/gallery.py -->", "<!-- end -->"


@dataclass(frozen=True)
class Tile:
    """The picture of an experiment: images as numbers in [0, 1], or points (N, 2) with their labels."""

    name: str
    image: Any = None
    points: Any = None
    labels: Any = None


def train(name: str, samples: int, path: Path) -> None:
    """Train an experiment, with no more samples than it has."""
    defaults = defaults_of(name)
    assert defaults is not None
    budget = min(samples, defaults.values["samples"])
    command = [sys.executable, "-m", "vae_exp", f"+experiment={name}", f"samples={budget}", *PLAIN]
    job = [JOBS[name]] if name in JOBS else []
    subprocess.run([*command, *job, "callbacks.figures=null", f"hydra.run.dir={path}"], check=True)


def tile_of_run(name: str, path: Path) -> Tile:
    """Draw the picture of a finished run."""
    run, kind = vae_exp.load_run(path), RUNS[name]
    x, y = next(iter(run.data.evaluation_batches("test", 3000)))
    with torch.no_grad(), torch.random.fork_rng([]):
        torch.manual_seed(0)
        if kind == "latent_scatter":
            return Tile(name, points=run.model.autoencoder.encode(x, y).numpy(), labels=y.numpy())
        drawn = drawings(run.model, (x, y), "", SIDE, run.standardisation)[kind]()
    gap = 0 if kind == "manifold" else GAP
    return Tile(name, part(images_of(drawn, gap), run.data.info.shape[1:], gap))


def images_of(figure: Figure, gap: int) -> Any:
    """Return the images of a figure as one array (H, W), its panels below each other, with one gap between them."""
    first, *others = (np.asarray(axes.images[0].get_array()) for axes in figure.axes if axes.images)
    return np.concatenate([first, *(other[gap:] for other in others)])


def part(grid: Any, size: Sequence[int], gap: int) -> Any:
    """Take whole images of a grid, so that the part has the shape of a tile.

    Args:
        grid: Images beside and below each other, (H, W).
        size: Height and width of an image.
        gap: The pixels between two images.
    """
    height, width = (length + gap for length in size)
    present = (grid.shape[0] // height, grid.shape[1] // width)
    most = ROWS_OF_IMAGES if gap else ROWS_OF_MANIFOLD
    rows, columns = next(
        (rows, columns)
        for rows in range(most, 0, -1)
        if rows * (columns := round(SHAPE * rows * height / width)) <= present[0] * present[1]
    )
    cells = grid[gap:, gap:].reshape(present[0], height, present[1], width).swapaxes(1, 2)
    if rows > present[0] or columns > present[1]:  # few rows: their images fill other rows
        cells = cells.reshape(-1, height, width)[: rows * columns].reshape(rows, columns, height, width)
    elif gap:
        cells = cells[:rows, :columns]
    else:  # a manifold: from end to end
        down, across = (
            np.linspace(0, n - 1, m).round().astype(int) for n, m in zip(present, (rows, columns), strict=True)
        )
        cells = cells[down][:, across]
    pixels = cells.swapaxes(1, 2).reshape(rows * height, columns * width)
    return np.pad(pixels, ((gap, 0), (gap, 0)), constant_values=1.0)


def tile_of_sweep(name: str) -> Tile:
    """Cut the tile of a sweep out of its picture in the documentation."""
    with Image.open(DOCS / "images" / f"{name}.png") as picture:
        return Tile(name, np.asarray(picture.convert("RGB").crop(SWEEPS[name])) / 255)


def compose(tiles: Sequence[Tile]) -> Figure:
    """Draw the tiles in rows, each above its name."""
    rows = math.ceil(len(tiles) / COLUMNS)
    figure = Figure(figsize=(2.0 * COLUMNS, (2.0 / SHAPE + 0.25) * rows), layout="constrained")
    all_axes = list(figure.subplots(rows, COLUMNS, squeeze=False).flat)
    for axes in all_axes:
        axes.set_axis_off()
    for axes, tile in zip(all_axes, tiles, strict=False):
        if tile.points is not None:
            axes.scatter(*tile.points.T, s=2, c=tile.labels, cmap="tab10", linewidths=0)
            axes.set_aspect("equal", adjustable="datalim")
            axes.set_box_aspect(1 / SHAPE)
        else:
            axes.imshow(tile.image, cmap="gray", vmin=0, vmax=1, interpolation="antialiased")
        axes.set_title(tile.name, y=-0.04, pad=0, va="top", fontsize=10, family="monospace")
    return figure


def palette() -> Image.Image:
    """Return an image with the colours of the gallery: greys for images, and tints for points and curves."""
    greys = np.linspace(0, 1, 32)[:, None].repeat(3, 1)
    tints = [share * np.array(color) + 1 - share for color in colormaps["tab10"].colors for share in (0.3, 0.6, 0.8, 1)]
    found = Image.new("P", (1, 1))
    found.putpalette((np.concatenate([greys, tints]) * 255).round().astype(np.uint8).tobytes())
    return found


def row_of_run(job: Job) -> list[str]:
    """Return the cells of a run: name, command, result with its standard error, samples, commit."""
    words = [word for word in job.results["overrides"] if not word.startswith(UNSAID)]
    words.sort(key=lambda word: not word.startswith("+experiment="))  # of a sweep's job, its own words come first
    name = job.results["name"]
    command = shlex.join(["python", "-m", "vae_exp", *words])
    commit = str(job.results["git_revision"])
    return [f"`{name}`", f"`{command}`", result(job.results), f"{job.results['samples']:,}", commit[:7]]


def result(results: Mapping[str, Any]) -> str:
    """Format what ranks a model on the test split, and the error of a model that classifies, with standard errors."""
    metric, _ = measure(results, "test")
    error, over = results.get("test/error"), standard_error(results, "test/error")
    found = [] if metric == "test/error" else [f"{metric.removeprefix('test/')} {with_error(results, metric)}"]
    if error is not None:
        found.append(f"error {shown(100 * error, over and 100 * over)}%")
    return ", ".join(found).replace(" -", " −")


def row_of_sweep(name: str) -> list[str]:
    """Return the cells of a sweep, whose results are on their own page."""
    return [
        f"`{name}`",
        f"`python -m vae_exp -m +experiment={name}`",
        "[reproduction](reproduction.md)",
        "10,000,000",
        "",
    ]


def table(rows: Iterable[Sequence[str]]) -> str:
    """Format the rows as a Markdown table."""
    head = ["experiment", "command", "test split", "samples", "commit"]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])


def main(folder: str, *arguments: str) -> None:
    """Train what is missing, draw the picture and write the table."""
    budgets = dict(word.split("=") for word in arguments if "=" in word)
    common = next((word for word in arguments if "=" not in word), None)
    for name in RUNS:
        path = Path(folder) / name
        budget = budgets.get(name, common)
        if budget and not (path / "results.json").exists():
            train(name, int(budget), path)
    tiles = [*(tile_of_run(name, Path(folder) / name) for name in RUNS), *map(tile_of_sweep, SWEEPS)]
    with Image.open(BytesIO(compose(tiles).png(dpi=110))) as picture:  # few colours make a small file
        few = picture.convert("RGB").quantize(palette=palette(), dither=Image.Dither.NONE)
        few.save(DOCS / "images" / "gallery.png", optimize=True)
    rows = [*(row_of_run(read_job(Path(folder) / name)) for name in RUNS), *map(row_of_sweep, SWEEPS)]
    page = DOCS / "gallery.md"
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    page.write_text(f"{before}{BEGIN}\n\n{table(rows)}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
