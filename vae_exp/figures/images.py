"""Figures made of images: reconstructions, samples, filters."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.axes import Axes
from torch import Tensor

from vae_exp.figures.figure import Figure

GAP = 2
WIDTH = 60
"""Letters beside each other below a figure."""

LONGEST = 24
"""Letters of the name of a class, in a figure."""

Grid = npt.NDArray[np.float32]


def reconstructions(rows: dict[str, Tensor], title: str) -> Figure:
    """Draw rows of images with names at the left, such as inputs, corrupted inputs and reconstructions.

    Args:
        rows: Images (N, C, H, W) in [0, 1] by the name of their row, all with the same N.
        title: The title of the figure.
    """
    names, images = list(rows), torch.stack(list(rows.values()))
    # long rows are cut into blocks as wide as a page
    columns = min(10, images.shape[1])
    blocks = [image_grid(block.flatten(0, 1), columns) for block in images.split(columns, dim=1)]
    figure = Figure(
        figsize=(7.5, 7.5 * sum(b.shape[0] for b in blocks) / blocks[0].shape[1] + 0.4), layout="constrained"
    )
    figure.suptitle(title, fontsize="medium")
    height = images.shape[3] + GAP
    for axes, block in zip(figure.subplots(len(blocks), squeeze=False)[:, 0], blocks, strict=True):
        axes.imshow(block, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes.set_yticks([GAP + height * (i + 0.5) - GAP for i in range(len(names))], names)
        axes.tick_params(length=0)
        axes.set_xticks([])
        axes.spines[:].set_visible(False)
    return figure


def samples(images: Tensor, title: str, columns: int = 10, row_names: Sequence[str] = ()) -> Figure:
    """Draw a grid of images (N, C, H, W) in [0, 1], row by row; the rows may have names."""
    figure, axes = _picture(image_grid(images, columns), title)
    if row_names:
        height = images.shape[2] + GAP
        axes.set_yticks([GAP + height * (i + 0.5) - GAP for i in range(len(row_names))], row_names)
    return figure


def analogies(x: Tensor, images: Tensor, title: str, names: Sequence[str] = ()) -> Figure:
    """Draw one row per image: the image, then its style with every label (arXiv 1406.5298, figure 1b).

    Args:
        x: Images (N, C, H, W) in [0, 1].
        images: The latents of each image decoded with every label, (N, classes, C, H, W).
        title: The title of the figure.
        names: The names of the labels. Without them, their numbers are shown.
    """
    rows = torch.cat([x[:, None], images], 1)
    columns = rows.shape[1]
    figure, axes = _picture(image_grid(rows.flatten(0, 1), columns), title)
    width = x.shape[3] + GAP
    below = ["input", *(names or [str(label) for label in range(columns - 1)])]
    axes.set_xticks([GAP + width * (i + 0.5) - GAP for i in range(columns)], below)
    if sum(map(len, below)) > WIDTH:
        axes.tick_params("x", rotation=90)
    return figure


def filters(weights: Tensor, title: str, most: int = 100) -> Figure:
    """Draw first-layer weights, each filter divided by its largest magnitude; grey is zero.

    Args:
        weights: The filters (N, C, h, w).
        title: The title of the figure.
        most: The largest number of filters. Those of largest norm are drawn, the largest first.
    """
    order = weights.flatten(1).norm(dim=1).argsort(descending=True)[:most]
    chosen = weights[order]
    scale = chosen.abs().amax((1, 2, 3), keepdim=True).clamp(min=1e-12)
    # white stands for a weight here, so the gaps between the filters are empty
    figure, _ = _picture(image_grid(0.5 + 0.5 * chosen / scale, columns=10, background=math.nan), title)
    return figure


def collage(pictures: dict[str, Grid], title: str, columns: int = 4) -> Figure:
    """Draw pictures (height, width, channels) side by side, each with its name above."""
    rows = -(-len(pictures) // columns)
    columns = min(columns, len(pictures))
    height, width = max((picture.shape[:2] for picture in pictures.values()), key=lambda size: size[1] / size[0])
    figure = Figure(figsize=(4 * columns * width / height, 4.3 * rows + 0.3), layout="constrained")
    figure.suptitle(title, fontsize="medium")
    all_axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in all_axes:
        axes.axis("off")
    for axes, (name, picture) in zip(all_axes, pictures.items(), strict=False):
        axes.set_title(name, fontsize="medium")
        axes.imshow(picture)
    return figure


def brightness(x: Tensor) -> Callable[[Tensor], Tensor]:
    """Return the map of pixels to the brightness [0, 1] that shows images like x (N, C, H, W).

    Pixels in [0, 1] are their own brightness. Other real numbers are scaled by their range, without the lowest and the
    highest half percent, which few outliers would else decide.
    """
    if x.min() >= 0 and x.max() <= 1:
        return lambda images: images
    low, high = np.quantile(x[:500].detach().float().cpu().numpy(), [0.005, 0.995]).tolist()
    return lambda images: (images - low) / max(high - low, 1e-12)


def image_grid(images: Tensor, columns: int, gap: int = GAP, background: float = 1.0) -> Grid:
    """Arrange images (N, C, H, W) in a grid, (rows·(H+gap)+gap, columns·(W+gap)+gap[, 3])."""
    images = images.detach().float().cpu().clamp(0, 1)
    n, channels, height, width = images.shape
    rows = -(-n // columns)
    canvas = torch.full((channels, rows * (height + gap) + gap, columns * (width + gap) + gap), background)
    for i, image in enumerate(images):
        top, left = (i // columns) * (height + gap) + gap, (i % columns) * (width + gap) + gap
        canvas[:, top : top + height, left : left + width] = image
    return (canvas[0] if channels != 3 else canvas.permute(1, 2, 0)).numpy()


def short(name: str) -> str:
    """Return the name of a class for a figure: not too long, and without signs that Matplotlib takes for formulas."""
    cut = name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
    return cut.replace("$", r"\$")


def _picture(grid: Grid, title: str) -> tuple[Figure, Axes]:
    height, width = grid.shape[:2]
    figure = Figure(figsize=(7.5, 7.5 * height / width + 0.4), layout="constrained")
    axes = figure.subplots()
    axes.imshow(grid, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_facecolor("lightsteelblue")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(title, fontsize="medium")
    return figure, axes
