"""The table of a sweep, read back."""

import csv
from pathlib import Path


def table(directory: Path) -> list[dict[str, str]]:
    """Return a sweep's rows, one per job."""
    with (directory / "sweep.csv").open() as file:
        return list(csv.DictReader(file))
