"""Experiments with autoencoders: see README.md, `python -m vae_exp --help` and `load_run`."""

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vae_exp.results.load import load_run as load_run

__version__ = version("vae_exp")
__all__ = ["load_run"]


def __getattr__(name: str) -> Any:
    # importing torch takes seconds, so import it only when `load_run` is used
    if name == "load_run":
        from vae_exp.results.load import load_run

        return load_run
    raise AttributeError(f"module 'vae_exp' has no attribute {name!r}")
