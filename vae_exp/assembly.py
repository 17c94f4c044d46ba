"""A composed config, checked, to the parts of a run. What the parts derive from each other is passed on here."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Interval
from hydra.utils import instantiate
from omegaconf import DictConfig
from pydantic import NonNegativeFloat, PositiveInt

from vae_exp.architecture import Architecture
from vae_exp.dataset import DataModule
from vae_exp.schema import check


@dataclass(frozen=True)
class Paths:
    """Where data lies: brought or downloaded, and unpacked."""

    data: str
    cache: str


@dataclass(frozen=True)
class Root:
    """The keys of `conf/config.yaml`; each group's keys are the arguments of what it builds."""

    name: str
    seed: Annotated[int, Interval(ge=0, lt=2**31)]
    samples: PositiveInt
    weight_prior: NonNegativeFloat
    resume: str | None
    paths: Paths
    dataset: Any
    architecture: Any
    likelihood: Any
    network: Any
    optimizer: Any
    trainer: Any
    callbacks: Any
    logger: Any = None
    objective: Any = None


# what the program passes itself: not for the config
GIVEN = {
    "architecture": {"shape", "classes", "network", "likelihood", "objective"},
    "optimizer": {"params"},
    "trainer": {
        "callbacks",
        "default_root_dir",
        "enable_checkpointing",
        "logger",
        "max_epochs",
        "max_steps",
        "num_sanity_val_steps",
        "plugins",
    },
    "logger": {"directory", "config"},
}


def check_config(config: DictConfig) -> None:
    """Hold a composed config against the signatures of everything that it builds.

    Raises:
        ConfigError: An unknown key, or a value that is not allowed.
    """
    check(config, Root, given=GIVEN)


def build(node: DictConfig, **derived: Any) -> Any:
    """What a node's `_target_` makes of the node's keys and of what is derived from other parts."""
    return build_later(node)(**derived)


def build_later(node: DictConfig) -> Callable[..., Any]:
    """The same, waiting for what is derived."""
    later: Callable[..., Any] = instantiate(node, _partial_=True, _convert_="all")
    return later


def build_data(config: DictConfig) -> DataModule:
    """The dataset; nothing is read yet."""
    data: DataModule = build(config.dataset)
    return data


def build_architecture(config: DictConfig, data: DataModule) -> Architecture:
    """The architecture, for images of that dataset.

    Raises:
        ConfigError: A combination that has no meaning.
    """
    derived = {
        "shape": data.source.shape,
        "network": build(config.network),
        "likelihood": build(config.likelihood),
    }
    if "objective" in config:
        derived |= {"classes": data.source.classes, "objective": build(config.objective)}
    architecture: Architecture = build(config.architecture, **derived)
    return architecture
