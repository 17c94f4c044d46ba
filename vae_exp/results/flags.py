"""The flags that a run or a sweep was begun with, as far as its config depends on them."""

from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError


def recorded_flags(record: Path) -> list[str]:
    """`--config-dir=` and `--config-name=` as they have to be typed again; none where nothing says so.

    Args:
        record: A file with Hydra's own config: `.hydra/hydra.yaml` of a run, `multirun.yaml` of a sweep.
    """
    try:
        config = OmegaConf.load(record)
    except (OSError, UnicodeDecodeError, YAMLError):
        return []
    hydra = OmegaConf.to_container(config).get("hydra") if isinstance(config, DictConfig) else None
    if not isinstance(hydra, dict):
        return []
    sources = hydra.get("runtime", {}).get("config_sources") or []
    flags = [f"--config-dir={source['path']}" for source in sources if source["provider"] == "command-line"]
    name = hydra.get("job", {}).get("config_name")
    return flags if name in (None, "config") else [*flags, f"--config-name={name}"]
