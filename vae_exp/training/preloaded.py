"""What the process imports from which the jobs of `hydra/launcher=processes` are forked (`training/forked.py`)."""

from contextlib import suppress
from importlib import import_module

from vae_exp.training.lasting_import import lasting_import

MODULES = (
    "vae_exp.training.run",
    "vae_exp.cli.train",
    # what a run imports later: its data, its pictures, its log
    "vae_exp.dataset.mnist",
    "matplotlib.backends.backend_agg",
    "hydra_plugins.hydra_colorlog.colorlog",
)

with lasting_import():  # the garbage collector would also write to what the forked processes share
    for name in MODULES:
        with suppress(ImportError):  # the job imports it too, and reports the error
            import_module(name)
