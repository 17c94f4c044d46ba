"""Flatten a nested config to one value per command-line key."""

from typing import Any

from omegaconf import DictConfig, OmegaConf


def flat(config: DictConfig) -> dict[str, Any]:
    """Return every value of a config under its key on the command line. Lists stay lists."""
    values: dict[str, Any] = {}

    def visit(node: Any, path: str) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                visit(value, f"{path}.{key}" if path else str(key))
        else:
            values[path] = node

    visit(OmegaConf.to_container(config, resolve=True), "")
    return values
