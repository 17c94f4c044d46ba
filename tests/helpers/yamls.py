"""The yamls of conf/."""

from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from vae_exp.config.paths import CONFIG_DIR

GROUPS = {str(path.parent.relative_to(CONFIG_DIR)) for path in CONFIG_DIR.rglob("*/*.yaml")}

SOURCES = {
    "arrays": ["dataset.source.path={data}/images.npz"],
    "folder": ["dataset.source.path={data}/images", "paths.cache={data}/cache"],
}
"""The overrides that name the files of a data set of the user's own, by the name of its yaml."""

SMALL_NETWORK = {
    "mlp": ["network.hidden_sizes=[8]"],
    "conv": ["network.channels=[4,6]", "network.strides=[1,2]"],
    "resnet": ["network.channels=2", "network.max_channels=4", "network.groups=2", "network.hidden_size=8"],
}
"""The overrides for a small network, by the name of its yaml: the default sizes take long."""

SMALL_ARCHITECTURE = {"stacked": ["architecture.sizes=[5,3]"]}
"""The overrides for a small architecture, by the name of its yaml."""


def choices(group: str) -> list[str]:
    """List the names of a group's yamls, without those for objects that a Python program passes."""
    return sorted(path.stem for path in (CONFIG_DIR / group).glob("*.yaml") if path.stem != "object")


def sources(choice: str, data: Path) -> list[str]:
    """The overrides that a yaml needs beside it; `data` is the folder of the fixture `small_data`."""
    return [override.format(data=data) for override in SOURCES.get(choice, [])]


def composed(*overrides: str) -> DictConfig:
    """Compose the config of a run from overrides, resolved."""
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        config = compose("config", overrides=[*overrides], return_hydra_config=True)
    HydraConfig.instance().set_config(config)
    with open_dict(config):
        del config["hydra"]
    OmegaConf.resolve(config)
    return config
