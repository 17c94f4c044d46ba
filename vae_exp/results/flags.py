"""The flags that a run or a sweep was begun with, as far as its config depends on them."""

from pathlib import Path

from vae_exp.config.stored import read_yaml
from vae_exp.errors import RunError


def recorded_flags(record: Path) -> list[str]:
    """`--config-dir=` and `--config-name=` as they have to be typed again; none where nothing says so.

    Args:
        record: A file with Hydra's own config: `.hydra/hydra.yaml` of a run, `multirun.yaml` of a sweep.
    """
    try:
        hydra = read_yaml(record)["hydra"]
        sources, name = hydra["runtime"]["config_sources"], hydra["job"]["config_name"]
        # the flag itself, or hydra.searchpath on the command line
        folders = [source["path"] for source in sources if source["provider"].endswith("command-line")]
        flags = [f"--config-dir={folder}" for folder in folders[:1]]
    except (RunError, ValueError, TypeError, KeyError):  # damaged, or of something else
        return []
    flags += [] if name in (None, "config") else [f"--config-name={name}"]
    return [flag for flag in flags if flag.isprintable()]  # they are shown on a terminal
