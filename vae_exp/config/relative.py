"""Resolve relative paths against the folder where the user started the program, even if a job runs elsewhere."""

from pathlib import Path

from omegaconf import DictConfig, OmegaConf

PATH_KEYS = ("paths.data", "paths.cache", "dataset.source.root", "dataset.source.path", "start_from")


def make_absolute(config: DictConfig, folder: Path) -> None:
    """Make the paths of a config absolute if the job runs in another folder (`hydra.job.chdir=true`).

    Args:
        config: The config; its paths are replaced.
        folder: The folder that relative paths refer to.
    """
    if Path.cwd() == folder:
        return
    for key in PATH_KEYS:
        value = OmegaConf.select(config, key)
        if isinstance(value, str) and not value.startswith("~"):
            OmegaConf.update(config, key, str(folder / value))
