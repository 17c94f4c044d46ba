"""A composed config, checked, to the parts of a run. What the parts derive from each other is passed on here."""

from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from typing import Annotated, Any

from annotated_types import Interval, MinLen
from hydra.utils import instantiate
from omegaconf import DictConfig
from pydantic import NonNegativeFloat, PositiveInt

from vae_exp.architecture import Architecture
from vae_exp.dataset import DataModule
from vae_exp.errors import ConfigError
from vae_exp.likelihood import Likelihood
from vae_exp.network import Network
from vae_exp.objective import Objective
from vae_exp.schema import Node, Nodes, check, target


@dataclass(frozen=True)
class Paths:
    """Where data lies: brought or downloaded, and unpacked."""

    data: str
    cache: str


@dataclass(frozen=True)
class Root:
    """The keys of `conf/config.yaml`; each group's keys are the arguments of what it builds."""

    name: Annotated[str, MinLen(1)]
    seed: Annotated[int, Interval(ge=0, lt=2**31)]
    samples: PositiveInt
    weight_prior: NonNegativeFloat
    resume: str | None
    start_from: Annotated[str, MinLen(1)] | None
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
    "trainer": {"callbacks", "default_root_dir", "plugins", "rank"},
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
    data: DataModule = build_part(config.dataset, "dataset", DataModule)
    return data


def build_part(node: DictConfig, key: str, kind: type, /, **derived: Any) -> Any:
    """What a node's `_target_` makes, which has to be of a kind.

    Args:
        node: The node.
        key: Its key on the command line.
        kind: The class.
        derived: What it is given beside its own keys.

    Raises:
        ConfigError: It is of another kind, or does not take what is derived.
    """
    parameters = signature(target(node, key)).parameters
    refused = [name for name in derived if name not in parameters]
    if refused and not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        raise ConfigError(f"{key}._target_={node['_target_']}: does not take {', '.join(refused)}, which it gets here")
    part = build(node, **derived)
    if not isinstance(part, kind):
        raise ConfigError(f"{key}._target_={node['_target_']}: a {kind.__name__} is needed here")
    return part


def build_architecture(config: DictConfig, data: DataModule) -> Architecture:
    """The architecture, for images of that dataset.

    Raises:
        ConfigError: A combination that has no meaning.
    """
    derived = {
        "shape": data.source.shape,
        "classes": data.source.classes,
        "network": build_part(config.network, "network", Network),
        "likelihood": build_part(config.likelihood, "likelihood", Likelihood),
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
        derived["objective"] = build_part(config.objective, "objective", Objective)
    needed = {name: part for name, part in derived.items() if name in accepted}
    architecture: Architecture = build_part(config.architecture, "architecture", Architecture, **needed)
    if data.dynamic and architecture.evaluations_per_batch > 1:
        raise ConfigError(
            "dataset.binarization=dynamic: draws an image anew each time, and this objective looks at it several times "
            "before the next one. Allowed: none, threshold, static"
        )
    if data.labels is not None:
        _check_few_labels(architecture, data)
    return architecture


def check_pixels(architecture: Architecture, data: DataModule) -> None:
    """Hold the likelihood against the pixels that it is trained on.

    Raises:
        ConfigError: They take two values, and it is a density that grows without bound on these.
    """
    if data.binarized and architecture.reconstructs and architecture.likelihood.unbounded:
        raise ConfigError(
            f"dataset.binarization={data.binarization}: pixels are 0 or 1, and the density of this "
            f"{type(architecture.likelihood).__name__} grows without bound on them. Allowed: "
            "dataset.binarization=none, likelihood=bernoulli, or likelihood.variance=fixed"
        )


def check_labels(architecture: Architecture, data: DataModule) -> None:
    """Hold the labels that the images have against those that the model needs; the images are loaded.

    Raises:
        ConfigError: An image has none where every one needs it; no image has one where some do; or a batch that is
            made of both kinds has room for one alone.
    """
    missing = {split: int((images.labels < 0).sum()) for split, images in data.splits.items()}
    name = type(architecture).__name__
    if architecture.needs_labels and any(missing.values()):
        few = ", ".join(f"{count:,} of the {split} split" for split, count in missing.items() if count)
        raise ConfigError(f"dataset: this {name} needs the label of every image, and {few} have none")
    if architecture.labelled_per_batch and missing["train"]:
        if not data.labelled:
            raise ConfigError(f"dataset: {name} learns from some images with a label, and no training image has one")
        _check_room(architecture, data)


def _check_few_labels(architecture: Architecture, data: DataModule) -> None:
    if architecture.needs_labels:
        raise ConfigError(
            f"dataset.labels={data.labels}: this {type(architecture).__name__} needs the label of every "
            "image; architecture=m2 learns from a few"
        )
    _check_room(architecture, data)


def _check_room(architecture: Architecture, data: DataModule) -> None:
    if architecture.labelled_per_batch >= data.batch_size:
        raise ConfigError(
            f"architecture.labelled_per_batch={architecture.labelled_per_batch}: leaves no room in a batch for images "
            f"without a label (dataset.batch_size={data.batch_size})"
        )
