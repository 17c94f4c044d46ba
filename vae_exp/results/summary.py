"""Read `results.json`: how a run ended, and its final metrics."""

import sys
from pathlib import Path
from typing import Any

from vae_exp.config.formats import choices_in_current_format
from vae_exp.results.files import read_json, read_or_warn, reporting_read_errors
from vae_exp.results.metrics import SPLITS

NUMBER_PREFIXES = (
    "budget",
    "evaluation_seconds",
    "samples",
    "step",
    "train_seconds",
    *(f"{split}/" for split in SPLITS),
)
"""Prefixes of the keys whose values are numbers."""

TEXT_PREFIXES = ("date", "device", "error", "git_revision", "stopped_by", "version/")
"""Prefixes of the keys whose values are text."""


def read_results(path: Path) -> dict[str, Any]:
    """Read the results of a run.

    Raises:
        RunError: The file is missing, truncated, or does not hold the results of a run.
    """
    results: dict[str, Any] = read_json(path, dict)
    with reporting_read_errors(path):
        for name in ("status", "stage"):
            if not isinstance(results.get(name, "" if name == "stage" else None), str):
                raise ValueError(f"it has no {name}")
        if results["status"] == "completed" and results.get("samples") is None:
            raise ValueError("it has no samples")
        for name, value in results.items():
            if name.startswith(NUMBER_PREFIXES) and not _is_number(value):
                raise ValueError(f"{name} is no number")
            if name.startswith(TEXT_PREFIXES) and not isinstance(value, str | None):
                raise ValueError(f"{name} is no text")
        if "shape" in results:
            _check_images(results["shape"], results.get("classes"))
    return results


def _check_images(shape: Any, classes: Any) -> None:
    sizes = isinstance(shape, list) and len(shape) == 3 and all(type(size) is int and size > 0 for size in shape)
    if not sizes or not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise ValueError("its shape or classes are damaged")


def _is_number(value: Any) -> bool:
    """Tell whether a value is null or a number that can be averaged and drawn."""
    return value is None or (isinstance(value, int | float) and abs(value) < sys.float_info.max)


def known_results(path: Path) -> dict[str, Any]:
    """Read the results of a run, or return {} if it has none. An unreadable file counts as missing, with a warning."""
    results = read_or_warn(read_results, path) if path.exists() else None
    return choices_in_current_format(results) if results else {}
