"""Relative paths count from the folder that the user typed them in, also where a job has a folder of its own."""

from pathlib import Path

from omegaconf import DictConfig, OmegaConf

KEYS = ("paths.data", "paths.cache", "dataset.source.root", "start_from")


def make_absolute(config: DictConfig, typed_in: Path) -> None:
    """Let the paths of a config mean the same in every folder (`hydra.job.chdir=true`); elsewhere it stays as it is.

    Args:
        config: Its paths are replaced.
        typed_in: The folder that relative paths count from.
    """
    if Path.cwd() == typed_in:
        return
    for key in KEYS:
        value = OmegaConf.select(config, key)
        if isinstance(value, str) and not value.startswith("~"):
            OmegaConf.update(config, key, str(typed_in / value))
