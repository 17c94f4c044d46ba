"""The resolvers of this project's yaml files. Importing this module registers them, also in a launcher's process."""

from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf


def by_choice(group: str, values: DictConfig) -> Any:
    """Return a value that depends on the choice of a group: `${by_choice:objective,{sgvb_b: 0.1, mcem: 0.3}}`.

    Raises:
        KeyError: There is no value for the choice.
    """
    choice = HydraConfig.get().runtime.choices[group]
    if choice not in values:
        raise KeyError(f"nothing is set for {group}={choice}: {', '.join(map(str, values))}")
    return values[choice]


OmegaConf.register_new_resolver("by_choice", by_choice, replace=True)
