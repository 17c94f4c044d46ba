"""Small sweeps, and their numbers."""

from pathlib import Path

from tables import table

QUICK = [
    "samples=300",
    "network.hidden_sizes=[8]",
    "logger=none",
    "callbacks.figures=null",
    "callbacks.evaluate.decades=0.5",
    "hydra.sweep.dir=sweep",
]
"""For a sweep in the process of the test, with the fixture `few_digits`."""

SMALL = [
    "architecture.latent_dim=2",
    "network.hidden_sizes=[8]",
    "samples=300",
    "dataset.train_size=300",
    "callbacks.evaluate.images=50",
    "callbacks.evaluate.decades=0.3",
    "callbacks.figures=null",
    "logger=none",
    "touch=false",  # the fixture `run` cannot turn it off in other processes
]
"""For a sweep of launchers that start processes."""

CLOCK = ("steps_per_second", "train_seconds", "directory")
"""What differs between two sweeps of the same numbers."""


def numbers(directory: Path) -> list[dict[str, str]]:
    """Return a sweep's rows without what depends on the clock or the folder."""
    return [{key: value for key, value in row.items() if key not in CLOCK} for row in table(directory)]
