"""Experiments with autoencoders: see README.md, `python -m vae_exp --help`, `train`, `sweep` and `load_run`."""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vae_exp.api.load import load_run as load_run
    from vae_exp.api.sweep import sweep as sweep
    from vae_exp.api.train import train as train

__version__ = version("vae_exp")
__all__ = ["load_run", "sweep", "train"]
PLACES = {"load_run": "vae_exp.api.load", "sweep": "vae_exp.api.sweep", "train": "vae_exp.api.train"}
"""The module of each function. Importing torch takes seconds, so a module is imported only when it is used."""


def __getattr__(name: str) -> Any:
    if name in PLACES:
        return getattr(import_module(PLACES[name]), name)
    raise AttributeError(f"module 'vae_exp' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *PLACES])
