"""What a search has tried."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

FEW = 8
"""So many values are written at their places."""


def slices(tried: Mapping[str, Sequence[str]], values: Sequence[float], best: int, metric: str, title: str) -> Figure:
    """A panel per key: each job's metric against its value of the key; later jobs are darker, the best has a ring.

    What lies beyond the reach of the axis is drawn at its end, as a cross.

    Args:
        tried: By key, each job's value of it, as it was typed.
        values: Each job's metric.
        best: Which of the jobs is the best.
        metric: What the metric is called.
        title: Of all.
    """
    y = np.array(values)
    inside = np.clip(y, *reach(values, values[best]))
    order: dict[str, Any] = {"c": range(len(y)), "vmin": 0, "vmax": len(y), "cmap": "viridis_r"}
    figure = Figure(figsize=(3.4 * len(tried) + 1, 3.8), layout="constrained")
    figure.suptitle(title, fontsize="medium")
    panels = figure.subplots(1, len(tried), sharey=True, squeeze=False)[0]
    for axes, (key, words) in zip(panels, tried.items(), strict=True):
        numbers = _numbers(words)
        x = np.array(numbers or words)
        points = axes.scatter(x, inside, s=22, **order)
        axes.plot(x[inside != y], inside[inside != y], "x", ms=8, color="C3")
        axes.plot(x[best], y[best], "o", ms=11, mfc="none", mec="C3")
        if numbers and min(numbers) > 0 and max(numbers) >= 10 * min(numbers):
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter("{x:g}")
            axes.minorticks_off()
        places = dict(zip(numbers, words, strict=False))
        if 0 < len(places) <= FEW:
            axes.set_xticks(list(places), list(places.values()))
        axes.set_xlabel(key)
        axes.grid(alpha=0.3)
    panels[0].set_ylabel(metric)
    figure.colorbar(points, ax=panels, label="job")
    return figure


def reach(values: Sequence[float], best: float) -> tuple[float, float]:
    """From the best value four times as far as to the median: what nearly diverged would flatten everything else."""
    low, high = sorted((best, best + 4 * (statistics.median(values) - best)))
    return low, high


def _numbers(words: Sequence[str]) -> list[float]:
    """The values as numbers; empty where one is none."""
    try:
        return [float(word) for word in words]
    except ValueError:
        return []
