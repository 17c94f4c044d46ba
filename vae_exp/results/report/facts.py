"""The main numbers of a run, for the head of its page."""

import math
import statistics
from typing import Any

from vae_exp.results.jobs import Group, Job
from vae_exp.results.metrics import measure, standard_error, with_error
from vae_exp.results.numbers import rounded, shown


def facts(results: dict[str, Any]) -> dict[str, Any]:
    """Return the main results of a run by name; the first is the most important."""
    name, _ = measure(results, "test")
    names = (name, name.replace("test/", "train/"))
    if name == "test/error":
        found = {f"{metric}, %": _percent(results, metric) for metric in names}
    else:
        found = {f"{metric}, nats per image": with_error(results, metric) for metric in names}
    found |= gap(results)
    if name != "test/error":
        found["a bound on"] = results.get("bounds")
    found["samples"] = results.get("samples")
    if results.get("budget") != results.get("samples"):
        found["budget"] = results.get("budget")
    found["stopped by"] = results.get("stopped_by")
    return {name: value for name, value in found.items() if value is not None}


def gap(results: dict[str, Any]) -> dict[str, str]:
    """Return how much better the model is on the training split than on the test split, with its standard error."""
    found = _gap(results)
    if found is None:
        return {}
    name, sign = measure(results, "test")
    better, worse = ("train", "test") if sign > 0 else ("test", "train")
    return {f"gap, {better} − {worse}{', %' if name == 'test/error' else ''}": shown(*found)}


def gap_of(group: Group) -> str:
    """Return the mean of the gap over the seeds, with its standard error over them if there are several."""
    found = [values for job in group if (values := _gap(job.results)) is not None]
    if len(found) > 1:
        gaps = [value for value, _ in found]
        return shown(statistics.fmean(gaps), statistics.stdev(gaps) / len(gaps) ** 0.5)
    return rounded(*found[0]) if found else ""


def _gap(results: dict[str, Any]) -> tuple[float, float | None] | None:
    """Return the gap and its standard error over the images, in percent for an error; None if it is not known.

    The two splits have different images, so the variances of their means add.
    """
    name, sign = measure(results, "test")
    values, errors = zip(
        *((results.get(key), standard_error(results, key)) for key in (name.replace("test/", "train/"), name)),
        strict=True,
    )
    if None in values:
        return None
    factor = 100 if name == "test/error" else 1
    error = None if None in errors else factor * math.hypot(*errors)
    return factor * sign * (values[0] - values[1]), error


def paper(job: Job) -> dict[str, str]:
    """Return the paper's value of the same experiment at the same number of samples, and the difference."""
    name, sign = measure(job.results, "test")
    curve, samples, value = job.published("test"), job.results.get("samples"), job.results.get(name)
    theirs = curve.at(samples) if curve and samples else None
    if theirs is None or value is None:
        return {}
    return {f"{name} of the paper": f"{theirs:.1f} (this run {sign * value - theirs:+.1f})"}


def _percent(results: dict[str, Any], name: str) -> str | None:
    value, error = results.get(name), standard_error(results, name)
    return None if value is None else shown(100 * value, error and 100 * error)
