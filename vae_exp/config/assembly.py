"""Check a composed config and build the parts of a run from it. Pass on values that one part needs from another."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from inspect import signature
from typing import Annotated, Any, Literal

from annotated_types import Interval, MinLen
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf, open_dict
from pydantic import NonNegativeFloat, PositiveInt

import vae_exp.config.resolvers  # noqa: F401 (registers them)
from vae_exp.architecture import Model
from vae_exp.config.objects import NO_OBJECTS, Objects
from vae_exp.config.schema import Node, Nodes, check_node, target_of
from vae_exp.config.suitability import check_draws, check_few_labels
from vae_exp.config.trust import nodes_to_build
from vae_exp.dataset import Dataset, Info
from vae_exp.dataset.base import Recorded
from vae_exp.errors import ConfigError, UserError
from vae_exp.foreign import OURS, failure, is_foreign_name
from vae_exp.likelihood import Likelihood
from vae_exp.network import Network, Shape
from vae_exp.objective import Objective
from vae_exp.posterior.base import PosteriorFamily
from vae_exp.prior.base import Prior


@dataclass(frozen=True)
class Paths:
    """The folder of the data files, provided or downloaded, and the folder of the unpacked data."""

    data: str
    cache: str


@dataclass(frozen=True)
class Root:
    """The keys of `conf/config.yaml`. The keys of each group are the arguments of the class that it builds."""

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
    touch: bool | Literal["auto"] = False  # runs of earlier versions have none
    trust: str | list[str] | None = None
    logger: Nodes | None = None  # several loggers, or one
    objective: Node | None = None
    prior: Node | None = None
    posterior: Node | None = None
    scheduler: Node | None = None
    head: Node | None = None


# arguments that the program passes itself, so the config cannot set them
SET_BY_PROGRAM = {
    "architecture": {"shape", "classes", "network", "likelihood", "objective", "prior", "posterior"},
    "prior": {"latent_dim", "shape"},
    "posterior": {"latent_dim"},
    "head": {"shape", "classes", "encoder"},
    "optimizer": {"params"},
    "scheduler": {"optimizer", "batch_size"},
    "logger": {"directory", "config"},
    "logger.wandb": {"directory", "config"},
    "logger.tensorboard": {"directory", "config"},
}


def check_config(config: DictConfig) -> None:
    """Check a composed config against the signatures of everything that it builds.

    Raises:
        ConfigError: A key is unknown, or a value is not allowed.
    """
    check_node(config, Root, set_by_program=SET_BY_PROGRAM)


def build(node: DictConfig, **derived: Any) -> Any:
    """Build the `_target_` of a node from the node's keys and from values derived from other parts."""
    return build_later(node)(**derived)


def build_later(node: DictConfig) -> Callable[..., Any]:
    """Return a function that builds the `_target_` of a node once it is called with the derived values."""
    later: Callable[..., Any] = instantiate(node, _partial_=True, _convert_="all")
    return later


def foreign_parts(node: DictConfig, key: str = "") -> list[str]:
    """Return the keys of the parts in a node, and of the node itself, whose `_target_` lies outside this package.

    Args:
        node: The node.
        key: Its key on the command line.
    """
    values: Any = OmegaConf.to_container(node, resolve=True)
    return [place for place, part in nodes_to_build(values, key) if is_foreign_name(part.get("_target_", OURS))]


@contextmanager
def foreign_failures(node: DictConfig, key: str) -> Iterator[None]:
    """Report an exception by the key of the part from outside this package that is built in this context.

    An exception of our own parts is a bug, and is left as it is.

    Args:
        node: The node that is built.
        key: Its key on the command line.

    Raises:
        PartError: There was an exception, and the node or a node in it has a `_target_` from outside.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        foreign = foreign_parts(node, key)
        if not foreign:
            raise
        wrapped = error.__cause__ if isinstance(error, InstantiationException) else None
        if isinstance(wrapped, UserError):
            raise
        raise failure(", ".join(foreign), wrapped or error) from error


def build_data(config: DictConfig, info: Info | None = None, objects: Objects = NO_OBJECTS) -> Dataset:
    """Build the dataset. No image is read yet.

    Args:
        config: The config of the run.
        info: What the images are, if that is known. The files are then not looked at, and cannot be loaded.
        objects: Built parts; `dataset.source` may be among them.
    """
    source = objects.get("dataset.source") if info is None else Recorded(info)
    if source is None:
        data: Dataset = build_part(config.dataset, "dataset", Dataset)
        return data
    node = deepcopy(config).dataset
    with open_dict(node):
        del node["source"]  # it is not needed, and perhaps cannot be built
    data = build_part(node, "dataset", Dataset, source=source)
    return data


def build_part(node: DictConfig, key: str, kind: type, /, **derived: Any) -> Any:
    """Build the `_target_` of a node and check its class.

    Args:
        node: The node.
        key: Its key on the command line.
        kind: The class that the part must be an instance of.
        derived: Arguments derived from other parts, in addition to the node's keys.

    Raises:
        ConfigError: The part has another class, or does not accept a derived argument.
        PartError: A part from outside this package cannot be built.
    """
    parameters = signature(target_of(node, key)).parameters
    refused = [name for name in derived if name not in parameters]
    if refused and not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        raise ConfigError(f"{key}._target_={node['_target_']}: does not take {', '.join(refused)}, which it gets here")
    with foreign_failures(node, key):
        part = build(node, **derived)
    if not isinstance(part, kind):
        raise ConfigError(f"{key}._target_={node['_target_']}: a {kind.__name__} is needed here")
    return part


def _as_it_is(part: Any, key: str) -> Any:
    return part


def _part(config: DictConfig, key: str, kind: type, objects: Objects) -> Any:
    """Build a part, or copy the object in its place: what is trained is not the caller's own object."""
    return deepcopy(objects[key]) if key in objects else build_part(config[key], key, kind)


def build_architecture(
    config: DictConfig,
    data: Dataset,
    checked: Callable[[Any, str], Any] = _as_it_is,
    objects: Objects = NO_OBJECTS,
) -> Model:
    """Build the architecture for the images of a dataset, with the head that is built around it, if there is one.

    Args:
        config: The config of a run.
        data: The dataset. Its images need not be loaded.
        checked: Is called with the network, the likelihood, the objective, the prior and the posterior, and with the
            key of each. It returns the part, or what is to be used in its place.
        objects: Built parts; `network` and `likelihood` may be among them.

    Raises:
        ConfigError: The combination of parts has no meaning.
    """
    derived = {
        "shape": data.info.shape,
        "classes": data.info.classes,
        "network": checked(_part(config, "network", Network, objects), "network"),
        "likelihood": checked(_part(config, "likelihood", Likelihood, objects), "likelihood"),
    }
    accepted = signature(target_of(config.architecture, "architecture")).parameters
    variational = "objective" in accepted
    if variational != (config.get("objective") is not None):
        raise ConfigError(
            "objective: a value is needed: objective=sgvb_b"
            if variational
            else "objective: an architecture without a prior has no bound to estimate; leave it out"
        )
    if variational:
        derived["objective"] = checked(build_part(config.objective, "objective", Objective), "objective")
    arguments = {name: part for name, part in derived.items() if name in accepted}
    arguments |= _latents(config, accepted, checked)
    architecture: Model = build_part(config.architecture, "architecture", Model, **arguments)
    if config.get("head") is not None:
        labels = {"shape": data.info.shape, "classes": data.info.classes}
        architecture = build_part(config.head, "head", Model, encoder=architecture, **labels)
    check_draws(architecture, data)
    if data.labels is not None:
        check_few_labels(architecture, data)
    return architecture


def _latents(config: DictConfig, accepted: Collection[str], checked: Callable[[Any, str], Any]) -> dict[str, Any]:
    """Return the functions that build the prior and the posterior. The architecture calls them with its sizes.

    A part that is not in the config, such as one of a run of an earlier version, is the default of the architecture.

    Args:
        config: The config of a run.
        accepted: The names of the arguments of the architecture.
        checked: As in `build_architecture`.

    Raises:
        ConfigError: There is a prior or a posterior, and the architecture takes none.
    """
    builders: dict[str, Any] = {}
    if config.get("prior") is not None:

        def prior(latent_dim: int, shape: Shape) -> Any:
            return checked(build_part(config.prior, "prior", Prior, latent_dim=latent_dim, shape=shape), "prior")

        builders["prior"] = prior
    if config.get("posterior") is not None:

        def posterior(latent_dim: int) -> Any:
            return checked(
                build_part(config.posterior, "posterior", PosteriorFamily, latent_dim=latent_dim), "posterior"
            )

        builders["posterior"] = posterior
    for group in builders:
        if group not in accepted:
            raise ConfigError(f"{group}: this architecture has no random code, so there is no {group}; leave it out")
    return builders
