"""The flags that a run or a sweep was begun with, as far as its config depends on them."""

from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from yaml import YAMLError


def recorded_flags(record: Path) -> list[str]:
    """`--config-dir=` and `--config-name=` as they have to be typed again; none where nothing says so.

    Args:
        record: A file with Hydra's own config: `.hydra/hydra.yaml` of a run, `multirun.yaml` of a sweep.
    """
    try:
        config: Any = OmegaConf.load(record)
        sources = OmegaConf.select(config, "hydra.runtime.config_sources") or []
        name = OmegaConf.select(config, "hydra.job.config_name")
        # the flag itself, or hydra.searchpath on the command line
        folders = [source["path"] for source in sources if source["provider"].endswith("command-line")]
        flags = [f"--config-dir={folder}" for folder in folders[:1]]
    except (OSError, ValueError, TypeError, KeyError, YAMLError):  # damaged, or of something else
        return []
    return flags if name in (None, "config") else [*flags, f"--config-name={name}"]
