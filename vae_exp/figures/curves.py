"""Curves as in the paper's Figures 2 and 3: nats against training samples, with one panel per size."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from vae_exp.figures.figure import Figure
from vae_exp.figures.published import Curve

STYLES: dict[str, Any] = {
    "train": {"lw": 1.0, "alpha": 0.75},
    "validation": {"lw": 1.5, "alpha": 0.9},
    "test": {"lw": 2.0},
}


NARROWEST = 5.5
"""The width of a figure with a single panel, in inches."""

MOST_ENTRIES = 8
"""Entries of a legend that has one for every curve."""

MOST_COLUMNS = 4
"""Panels beside each other, if each facet is one panel."""


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

    Our curves are solid and the published ones dashed. Train is thin and test is thick. If every curve is a single
    point, only the last panel is drawn.

    Args:
        panels: The panels, sorted by size.
        title: The title of the figure.
        size: The name of the size.
        ylabel: The label of the shared axis.
    """
    return faceted_curves({"": panels}, title, size, ylabel)


def faceted_curves(facets: Mapping[str, list[Panel]], title: str, size: str, ylabel: str) -> Figure:
    """Draw the panels of `bound_curves` for each facet: a row per facet, or side by side if each is a single panel.

    Args:
        facets: The panels of each facet, by its name; "" for the only one.
        title: The title of the figure.
        size: The name of the size.
        ylabel: The label of the shared axis.
    """
    every = [panel for panels in facets.values() for panel in panels]
    sizes = sorted({panel.size for panel in every})
    labels = dict.fromkeys(line.label for panel in every for line in panel.lines)
    colors = {label: f"C{i}" for i, label in enumerate(labels)}
    ends_only = len(sizes) > 1 and not has_curves(every)
    columns = min(len(facets), MOST_COLUMNS) if ends_only else len(sizes) + (len(sizes) > 1)
    rows = -(-len(facets) // columns) if ends_only else len(facets)
    width = 3.1 * columns + 1 if columns > 1 else NARROWEST
    figure = Figure(figsize=(width, 3.0 * rows + 0.8), layout="constrained")
    figure.suptitle(title, fontsize="medium")
    axes = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()  # a facet may lack a size
    for (facet, panels), row in zip(facets.items(), axes.flat if ends_only else axes, strict=False):
        if ends_only:
            _draw_final(row, panels, colors, size, facet or "at the end")
        else:
            _draw_row(dict(zip(sizes, row, strict=False)), row[-1], panels, colors, size)
            row[0].annotate(facet, (0, 1.12), xycoords="axes fraction", fontweight="bold")
    low, high = axis_limits_of_curves(every)
    if math.isfinite(low) and high > low:
        axes[0, 0].set_ylim(low, high)
    for axis in axes[:, 0]:
        axis.set_ylabel(ylabel)
    _add_legend(figure, list(axes.flat), every, colors, MOST_ENTRIES if len(facets) == 1 else 0)
    return figure


def _draw_row(axes: Mapping[int, Axes], last: Axes, panels: list[Panel], colors: dict[str, str], size: str) -> None:
    """Draw the panels of a facet, by size, and the final values if there are several sizes."""
    for panel in panels:
        _draw_curves(axes[panel.size], panel, colors, size)
    if len(axes) > 1:
        _draw_final(last, panels, colors, size, "at the end")


def has_curves(panels: list[Panel]) -> bool:
    """Tell whether any curve, ours or one of the paper, has two points or more."""
    lines = [line for panel in panels for line in panel.lines]
    return any(len(line.points) > 1 or len(line.published_points) > 1 for line in lines)


def _add_legend(figure: Figure, axes: list[Axes], panels: list[Panel], colors: dict[str, str], most: int) -> None:
    """Add the legend below: at most so many entries, one for every curve, or else one for every colour and width."""
    legend: dict[str, Any] = {}
    for axis in axes:
        for handle, name in zip(*axis.get_legend_handles_labels(), strict=True):
            legend.setdefault(name, handle)
    if len(legend) > most:
        lines = [line for panel in panels for line in panel.lines]
        splits = {line.split for line in lines}
        styles: dict[str, Any] = {label: {"color": color, "lw": 2.0} for label, color in colors.items()}
        styles |= {split: {"color": "0.4"} | style for split, style in STYLES.items() if split in splits}
        styles |= {"paper": {"color": "0.4", "ls": "--"}} if any(line.published_points for line in lines) else {}
        legend = {name: Line2D([], [], **style) for name, style in styles.items()}
    figure.legend(
        list(legend.values()),
        list(legend),
        loc="outside lower center",
        ncols=min(len(legend), 6 if figure.get_figwidth() > NARROWEST else 4),
        fontsize="small",
        frameon=False,
    )


def _draw_curves(axis: Axes, panel: Panel, colors: dict[str, str], size: str) -> None:
    axis.set_axis_on()
    for line in panel.lines:
        style = {"color": colors[line.label], **STYLES[line.split]}
        name = " ".join(filter(None, (line.label, line.split)))
        if line.points:
            samples, mean, error = np.array(line.points).T
            axis.plot(samples, mean, label=name, marker="o" if len(samples) == 1 else None, **style)
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


def _draw_final(axis: Axes, panels: list[Panel], colors: dict[str, str], size: str, title: str) -> None:
    axis.set_axis_on()
    for (label, color), split in product(colors.items(), STYLES):
        ends = [
            (panel.size, *line.points[-1], line.published)
            for panel in panels
            for line in panel.lines
            if (line.label, line.split) == (label, split) and line.points
        ]
        if ends:
            sizes, _, means, errors, _ = zip(*ends, strict=True)
            name = " ".join(filter(None, (label, split)))
            bars = {"marker": "o", "markersize": 3.5, "color": color, "capsize": 2, **STYLES[split]}
            axis.errorbar(sizes, means, errors, label=name, **bars)
        paper_ends = [(n, published.at(samples)) for n, samples, *_, published in ends if published is not None]
        known = [point for point in paper_ends if point[1] is not None]
        if known:
            axis.plot(*zip(*known, strict=True), ls="--", marker="x", color=color, **STYLES[split])
    shown = [panel.size for panel in panels]
    axis.set_xscale("log")
    axis.set_xticks(shown, [f"{n:,}" for n in shown])
    axis.minorticks_off()
    axis.set_title(title, fontsize="medium")
    axis.set_xlabel(size)
    axis.grid(alpha=0.3)


def axis_limits_of_curves(panels: list[Panel]) -> tuple[float, float]:
    """Compute axis limits that show the ends of all curves but not their first steps, which would flatten the rest.

    Standard errors at the ends are inside.
    """
    lines = [line for panel in panels for line in panel.lines if line.points]
    ours = [np.array(line.points)[:, 1:].T for line in lines]
    published = [np.array([nats, 0.0 * nats]) for line in lines if (nats := _nats(line)).size]
    curves = [curve[:, np.isfinite(curve).all(0)] for curve in [*ours, *published]]
    curves = [curve for curve in curves if curve.size]
    high = max(((mean + error).max() for mean, error in curves), default=math.nan)
    lowest_end = min((mean[-1] - error[-1] for mean, error in curves), default=math.nan)
    span = (high - lowest_end) or 1.0
    return lowest_end - (0.25 if has_curves(panels) else 0.06) * span, high + 0.06 * span


def _nats(line: Line) -> Any:
    return np.array([nats for _, nats in line.published_points])
