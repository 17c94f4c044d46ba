"""`results.json`: how a run ended, and its numbers."""

import sys
from pathlib import Path
from typing import Any

from vae_exp.metrics import SPLITS
from vae_exp.results.files import known, read_json, readable

NUMBERS = ("budget", "samples", "step", "train_seconds", *(f"{split}/" for split in SPLITS))
"""What the names of numbers begin with."""

TEXTS = ("date", "device", "error", "git_revision", "stopped_by", "version/")
"""What the names of texts begin with."""


def read_results(path: Path) -> dict[str, Any]:
    """The results of a run.

    Raises:
        RunError: They are missing, cut off, or something else.
    """
    results: dict[str, Any] = read_json(path, dict)
    with readable(path):
        for name in ("status", "stage"):
            if not isinstance(results.get(name, "" if name == "stage" else None), str):
                raise ValueError(f"it has no {name}")
        if results["status"] == "completed" and results.get("samples") is None:
            raise ValueError("it has no samples")
        for name, value in results.items():
            if name.startswith(NUMBERS) and not _is_number(value):
                raise ValueError(f"{name} is no number")
            if name.startswith(TEXTS) and not isinstance(value, str | None):
                raise ValueError(f"{name} is no text")
    return results


def _is_number(value: Any) -> bool:
    """Whether it is one that can be averaged and drawn, or null."""
    return value is None or (isinstance(value, int | float) and abs(value) < sys.float_info.max)


def known_results(path: Path) -> dict[str, Any]:
    """The same where a run may have none: empty then. A file that cannot be read counts as missing, with a warning."""
    return (known(read_results, path) if path.exists() else None) or {}
