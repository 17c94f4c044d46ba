"""Curves as in the paper's Figures 2 and 3: nats against training samples, with one panel per size."""

import math
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from vae_exp.figures.figure import Figure
from vae_exp.figures.published import Curve

STYLES: dict[str, Any] = {
    "train": {"lw": 1.0, "alpha": 0.75},
    "validation": {"lw": 1.5, "alpha": 0.9},
    "test": {"lw": 2.0},
}


@dataclass(frozen=True)
class Line:
    """The curve of one setting on one split.

    Attributes:
        label: The name of the setting.
        split: `train` or `test`.
        points: (samples, mean, standard error) at each evaluation.
        published: The paper's curve of this setting, if there is one.
    """

    label: str
    split: str
    points: list[tuple[float, float, float]]
    published: Curve | None

    @property
    def published_points(self) -> list[tuple[int, float]]:
        """The paper's curve up to the last sample count of this curve."""
        if self.published is None or not self.points:
            return []
        return self.published.points(self.points[-1][0])


@dataclass(frozen=True)
class Panel:
    """The lines for one latent size, or for one size of the training set."""

    size: int
    lines: list[Line]


def bound_curves(
    panels: list[Panel], title: str, size: str = "$N_z$", ylabel: str = "bound (nats per image)"
) -> Figure:
    """Draw one panel per size, with a shared axis of nats, and a last panel of the final values against the size.

    Our curves are solid and the published ones dashed. Train is thin and test is thick.

    Args:
        panels: The panels, sorted by size.
        title: The title of the figure.
        size: The name of the size.
        ylabel: The label of the shared axis.
    """
    columns = len(panels) + (len(panels) > 1)
    figure = Figure(figsize=(3.1 * columns + 1, 3.8), layout="constrained")
    figure.suptitle(title, fontsize="medium")
    axes = figure.subplots(1, columns, sharey=True, squeeze=False)[0]
    labels = list(dict.fromkeys(line.label for panel in panels for line in panel.lines))
    colors = {label: f"C{i}" for i, label in enumerate(labels)}
    for panel, axis in zip(panels, axes, strict=False):
        _draw_curves(axis, panel, colors, size)
    if len(panels) > 1:
        _draw_final(axes[-1], panels, colors, size)
    low, high = axis_limits_of_curves(panels)
    if math.isfinite(low) and high > low:
        axes[0].set_ylim(low, high)
    axes[0].set_ylabel(ylabel)
    legend = {name: handle for axis in axes for handle, name in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(
        list(legend.values()),
        list(legend),
        loc="outside lower center",
        ncols=min(len(legend), 6),
        fontsize="small",
        frameon=False,
    )
    return figure


def _draw_curves(axis: Axes, panel: Panel, colors: dict[str, str], size: str) -> None:
    for line in panel.lines:
        style = {"color": colors[line.label], **STYLES[line.split]}
        name = " ".join(filter(None, (line.label, line.split)))
        if line.points:
            samples, mean, error = np.array(line.points).T
            axis.plot(samples, mean, label=name, **style)
            axis.fill_between(samples, mean - error, mean + error, color=style["color"], alpha=0.2, lw=0)
        if line.published_points:
            axis.plot(*zip(*line.published_points, strict=True), ls="--", label=f"{name}, paper", **style)
    axis.set_xscale("log")
    _set_ticks(axis, [n for line in panel.lines for n, *_ in [*line.points, *line.published_points]])
    axis.set_title(f"{size} = {panel.size:,}", fontsize="medium")
    axis.set_xlabel("training samples evaluated")
    axis.grid(alpha=0.3)


def _set_ticks(axis: Axes, samples: list[float]) -> None:
    """Label only the ends of an axis of less than a decade. Matplotlib's labels of 6·10³, 7·10³, … would overlap."""
    if samples and max(samples) < 10 * min(samples):
        ends = sorted({min(samples), max(samples)})
        axis.set_xticks(ends, [f"{n:,.0f}" for n in ends])
        axis.minorticks_off()


def _draw_final(axis: Axes, panels: list[Panel], colors: dict[str, str], size: str) -> None:
    for (label, color), split in product(colors.items(), STYLES):
        ends = [
            (panel.size, *line.points[-1], line.published)
            for panel in panels
            for line in panel.lines
            if (line.label, line.split) == (label, split) and line.points
        ]
        if ends:
            sizes, _, means, errors, _ = zip(*ends, strict=True)
            axis.errorbar(sizes, means, errors, marker="o", color=color, capsize=2, **STYLES[split])
        paper_ends = [(n, published.at(samples)) for n, samples, *_, published in ends if published is not None]
        known = [point for point in paper_ends if point[1] is not None]
        if known:
            axis.plot(*zip(*known, strict=True), ls="--", marker="x", color=color, **STYLES[split])
    shown = [panel.size for panel in panels]
    axis.set_xscale("log")
    axis.set_xticks(shown, [f"{n:,}" for n in shown])
    axis.minorticks_off()
    axis.set_title("at the end", fontsize="medium")
    axis.set_xlabel(size)
    axis.grid(alpha=0.3)


def axis_limits_of_curves(panels: list[Panel]) -> tuple[float, float]:
    """Compute axis limits that show the ends of all curves but not their first steps, which would flatten the rest."""
    lines = [line for panel in panels for line in panel.lines if line.points]
    ours = [np.array(line.points)[:, 1] for line in lines]
    published = [np.array(line.published_points)[:, 1] for line in lines if line.published_points]
    curves = [curve[np.isfinite(curve)] for curve in [*ours, *published] if np.isfinite(curve).any()]
    high = max((curve.max() for curve in curves), default=math.nan)
    lowest_end = min((curve[-1] for curve in curves), default=math.nan)
    span = (high - lowest_end) or 1.0
    return lowest_end - 0.25 * span, high + 0.06 * span
