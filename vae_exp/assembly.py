"""A composed config, checked, to the parts of a run. What the parts derive from each other is passed on here."""

from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from typing import Annotated, Any

from annotated_types import Interval
from hydra.utils import instantiate
from omegaconf import DictConfig
from pydantic import NonNegativeFloat, PositiveInt

from vae_exp.architecture import Architecture
from vae_exp.dataset import DataModule
from vae_exp.errors import ConfigError
from vae_exp.schema import Node, Nodes, check, target


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
    start_from: str | None
    stages: dict[str, list[str]] | None
    paths: Paths
    dataset: Node
    architecture: Node
    likelihood: Node
    network: Node
    optimizer: Node
    trainer: Node
    callbacks: Nodes
    trust: str | list[str] | None = None
    logger: Nodes | None = None  # or one
    objective: Node | None = None


# what the program passes itself: not for the config
GIVEN = {
    "architecture": {"shape", "classes", "network", "likelihood", "objective"},
    "optimizer": {"params"},
    # what this project does its own way: the budget, the evaluations, the checkpoints, the update itself
    "trainer": {
        "accumulate_grad_batches",
        "barebones",
        "callbacks",
        "check_val_every_n_epoch",
        "default_root_dir",
        "enable_checkpointing",
        "fast_dev_run",
        "gradient_clip_algorithm",
        "limit_predict_batches",
        "limit_test_batches",
        "limit_train_batches",
        "limit_val_batches",
        "logger",
        "max_epochs",
        "max_steps",
        "max_time",
        "min_epochs",
        "min_steps",
        "num_nodes",
        "num_sanity_val_steps",
        "overfit_batches",
        "plugins",
        "rank",
        "reload_dataloaders_every_n_epochs",
        "val_check_interval",
    },
    "logger": {"directory", "config"},
    "logger.wandb": {"directory", "config"},
    "logger.tensorboard": {"directory", "config"},
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
        "classes": data.source.classes,
        "network": build(config.network),
        "likelihood": build(config.likelihood),
    }
    accepted = signature(target(config.architecture, "architecture")).parameters
    variational = "objective" in accepted
    if variational != (config.get("objective") is not None):
        raise ConfigError(
            "objective: a value is needed: objective=sgvb_b"
            if variational
            else "objective: an architecture without a prior has no bound to estimate; leave it out"
        )
    if variational:
        derived["objective"] = build(config.objective)
    needed = {name: part for name, part in derived.items() if name in accepted}
    architecture: Architecture = build(config.architecture, **needed)
    if data.dynamic and architecture.evaluations_per_batch > 1:
        raise ConfigError(
            "dataset.binarization=dynamic: draws an image anew each time, and this objective looks at it several times "
            "before the next one. Allowed: none, threshold, static"
        )
    if data.labels is not None:
        _check_few_labels(architecture, data)
    return architecture


def _check_few_labels(architecture: Architecture, data: DataModule) -> None:
    if architecture.needs_labels:
        raise ConfigError(
            f"dataset.labels={data.labels}: this {type(architecture).__name__} needs the label of every "
            "image; architecture=m2 learns from a few"
        )
    if architecture.labelled_per_batch >= data.batch_size:
        raise ConfigError(
            f"architecture.labelled_per_batch={architecture.labelled_per_batch}: leaves no room in a batch for images "
            f"without a label (dataset.batch_size={data.batch_size})"
        )
