"""The flags that a run or a sweep was started with, if its config depends on them."""

from pathlib import Path

from vae_exp.config.stored import read_yaml
from vae_exp.errors import RunError


def recorded_flags(record: Path) -> list[str]:
    """Return the flags `--config-dir=` and `--config-name=` that the user has to type again to resume.

    The list is empty if none was used, or if the record is missing or damaged.

    Args:
        record: A file with Hydra's own config: `.hydra/hydra.yaml` of a run, `multirun.yaml` of a sweep.
    """
    try:
        hydra = read_yaml(record)["hydra"]
        sources, name = hydra["runtime"]["config_sources"], hydra["job"]["config_name"]
        # these come from --config-dir or from hydra.searchpath on the command line
        folders = [source["path"] for source in sources if source["provider"].endswith("command-line")]
        flags = [f"--config-dir={folder}" for folder in folders[:1]]
    except (RunError, ValueError, TypeError, KeyError):  # the file is missing, damaged or holds something else
        return []
    flags += [] if name in (None, "config") else [f"--config-name={name}"]
    # the flags are shown on a terminal, where control characters could do harm
    return [flag for flag in flags if flag.isprintable()]
