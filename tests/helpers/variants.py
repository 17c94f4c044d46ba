"""Runs that differ from a trained one: copies of its directory with other settings and results."""

import json
import shutil
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf


def variant(trained: Path, path: Path, settings: dict[str, Any] | None = None, **results: Any) -> Path:
    """Copy a run directory, and change keys of its config and values of its results."""
    shutil.copytree(trained, path)
    file = path / ".hydra" / "config.yaml"
    config = OmegaConf.load(file)
    own = json.loads((path / "results.json").read_text())
    for key, value in (settings or {}).items():
        OmegaConf.update(config, key, value, force_add=True)
        own |= {key: value} if key in own else {}
    file.write_text(OmegaConf.to_yaml(config))
    (path / "results.json").write_text(json.dumps(own | results))
    return path


def without(path: Path, key: str) -> Path:
    """Remove a key from the config of a run, as if an earlier version had written it."""
    file = path / ".hydra" / "config.yaml"
    config = OmegaConf.load(file)
    parent, _, name = key.rpartition(".")
    del (OmegaConf.select(config, parent) if parent else config)[name]
    file.write_text(OmegaConf.to_yaml(config))
    return path
