"""Figures of rows of a table, which are images of the shape (1, 1, D)."""

import torch
from torch import Tensor

from vae_exp.figures.figure import Figure

MOST = 3.0
"""The colours end at this many standard deviations."""


def is_row(shape: tuple[int, ...]) -> bool:
    """Tell whether images of the shape (C, H, W) are rows of a table."""
    return shape[:2] == (1, 1)


def strips(panels: dict[str, Tensor], like: Tensor, title: str) -> Figure:
    """Draw rows as coloured strips, one panel per name; the colours are distances from the column's mean.

    Args:
        panels: Rows (n, 1, 1, D) by the name of their panel.
        like: The rows (N, 1, 1, D) whose mean and standard deviation scale each column.
        title: The title of the figure.
    """
    columns = like.detach().cpu().flatten(1)
    mean, std = columns.mean(0), columns.std(0, correction=0).clamp(min=1e-12)
    figure = Figure(figsize=(7.5, 4.0), layout="constrained")
    figure.suptitle(title, fontsize="medium")
    all_axes = list(figure.subplots(1, len(panels), squeeze=False, sharey=True).flat)
    for axes, (name, rows) in zip(all_axes, panels.items(), strict=True):
        scaled = (rows.detach().cpu().flatten(1) - mean) / std
        drawn = axes.imshow(
            scaled.to(torch.float32).numpy(),
            cmap="coolwarm",
            vmin=-MOST,
            vmax=MOST,
            aspect="auto",
            interpolation="nearest",
        )
        axes.set_title(name, fontsize="medium")
        axes.set_xlabel("column")
    all_axes[0].set_ylabel("row")
    figure.colorbar(drawn, ax=all_axes, label="standard deviations from the column's mean")
    return figure
