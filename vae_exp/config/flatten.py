"""Flatten a nested config to one value per command-line key."""

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf


def flat(config: DictConfig) -> dict[str, Any]:
    """Return every value of a config under its key on the command line. Lists stay lists."""
    values: Any = OmegaConf.to_container(config, resolve=True)
    return flat_values(values)


def flat_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same of nested plain values."""
    flattened: dict[str, Any] = {}

    def visit(node: Any, path: str) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                visit(value, f"{path}.{key}" if path else str(key))
        else:
            flattened[path] = node

    visit(values, "")
    return flattened
