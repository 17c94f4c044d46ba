"""The figure of a search: each job's metric against its values."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import LogLocator

from vae_exp.figures.figure import Figure

MOST_TICKS = 8
"""Up to this number of different values, each value has its own tick on the axis."""


def search_slices(
    tried: Mapping[str, Sequence[str]], values: Sequence[float], best: int, metric: str, title: str
) -> Figure:
    """Draw one panel per key: each job's metric against its value of the key.

    Later jobs are darker, and the best job has a ring. A job outside the axis limits is a cross at the end of the axis.

    Args:
        tried: For each key, the value of every job, as written in its overrides.
        values: The metric of every job.
        best: The position of the best job.
        metric: The name of the metric.
        title: The title of the figure.
    """
    y = np.array(values)
    inside = np.clip(y, *axis_limits_of_search(values, values[best]))
    order: dict[str, Any] = {"c": range(len(y)), "vmin": 0, "vmax": len(y), "cmap": "viridis_r"}
    figure = Figure(figsize=(3.4 * len(tried) + 1, 3.8), layout="constrained")
    figure.suptitle(title, fontsize="medium")
    panels = figure.subplots(1, len(tried), sharey=True, squeeze=False)[0]
    for axes, (key, texts) in zip(panels, tried.items(), strict=True):
        numbers = _numbers(texts)
        x = np.array(numbers or texts)
        points = axes.scatter(x, inside, s=22, **order)
        axes.plot(x[inside != y], inside[inside != y], "x", ms=8, color="C3")
        axes.plot(x[best], y[best], "o", ms=11, mfc="none", mec="C3")
        if numbers and min(numbers) > 0 and max(numbers) >= 10 * min(numbers):
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter("{x:g}")
            axes.minorticks_off()
        ticks = dict(zip(numbers, texts, strict=False))
        if 0 < len(ticks) <= MOST_TICKS:
            axes.set_xticks(list(ticks), list(ticks.values()))
        axes.set_xlabel(key)
        axes.grid(alpha=0.3)
    panels[0].set_ylabel(metric)
    figure.colorbar(points, ax=panels, label="job")
    return figure


def axis_limits_of_search(values: Sequence[float], best: float) -> tuple[float, float]:
    """Compute axis limits: from the best value to four times the distance to the median.

    Jobs that nearly diverged would otherwise flatten the plot.
    """
    low, high = sorted((best, best + 4 * (statistics.median(values) - best)))
    return low, high


def _numbers(texts: Sequence[str]) -> list[float]:
    """Convert the values to numbers; return an empty list if one of them is not a number."""
    try:
        return [float(text) for text in texts]
    except ValueError:
        return []
