"""Built objects that a program passes to `vae_exp.train` in place of groups, and what a record says of them."""

from collections.abc import Collection, Mapping
from copy import deepcopy
from types import MappingProxyType
from typing import Any, NoReturn

from omegaconf import DictConfig, OmegaConf, open_dict

from vae_exp.errors import ConfigError, RunError

Objects = Mapping[str, Any]
"""Built parts by the key on the command line of the node that each replaces, such as `network`."""

NO_OBJECTS: Objects = MappingProxyType({})
CHOICE = "object"
"""The choice of a group whose part is passed as an object."""

TARGET = f"{__name__}.passed"
"""The `_target_` of a node that stands for an object."""

ARGUMENTS = {"dataset.source": "data", "network": "network", "likelihood": "likelihood"}
"""The argument of `vae_exp.train` that takes the object of a place."""


def passed(object: str | None = None) -> NoReturn:
    """Stand in a config for an object, which cannot be built from the config.

    Args:
        object: What the object is, in words.

    Raises:
        ConfigError: Always.
    """
    raise ConfigError(f"{object}: is an object that a program passes to vae_exp.train; it cannot be built")


def description(part: Any) -> str:
    """Describe an object in one line: by its own `description`, or else by the name of its class."""
    own = getattr(part, "description", None)
    return own if isinstance(own, str) else f"{type(part).__module__}.{type(part).__qualname__}"


def with_objects(config: DictConfig, objects: Objects) -> DictConfig:
    """Return a config in which the node of every object only says what the object is."""
    if not objects:
        return config
    config = deepcopy(config)
    with open_dict(config):
        for place, part in objects.items():
            node = {"_target_": TARGET, CHOICE: description(part)}
            OmegaConf.update(config, place, node, merge=False, force_add=True)
    return config


def is_object(node: Mapping[Any, Any] | DictConfig) -> bool:
    """Tell whether a node stands for an object."""
    return bool(node.get("_target_") == TARGET)


def recorded_objects(values: Mapping[str, Any], place: str = "") -> dict[str, str | None]:
    """Return what the plain values of a config say of the objects that stand in it, by place."""
    if is_object(values):
        return {place: values.get(CHOICE)}
    found: dict[str, str | None] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= recorded_objects(value, f"{place}.{key}" if place else str(key))
    return found


def check_objects(config: DictConfig, objects: Objects) -> None:
    """Refuse to train without the objects that the config stands for.

    Raises:
        ConfigError: An object is missing. The message names all that are missing.
    """
    missing = _missing(config, objects, ARGUMENTS)
    if missing:
        raise ConfigError(
            f"{_in_words(missing)}: stands for an object, which a Python program passes: "
            f"vae_exp.train(…, {_arguments(missing)})"
        )


def check_objects_of_run(config: DictConfig, objects: Objects, path: str) -> None:
    """Refuse to load a run without the objects that its model was made of.

    Raises:
        RunError: An object is missing. The message names all that are missing.
    """
    missing = _missing(config, objects, ("network", "likelihood"))
    if missing:
        raise RunError(
            f"run={path}: cannot be rebuilt without the objects that it was made of: {_in_words(missing)}. Pass them: "
            f'vae_exp.load_run("{path}", {_arguments(missing)})'
        )


def _missing(config: DictConfig, objects: Objects, places: Collection[str]) -> dict[str, str | None]:
    values: Any = OmegaConf.to_container(config, resolve=False)
    found = recorded_objects(values)
    return {place: found[place] for place in places if place in found and place not in objects}


def _in_words(missing: Mapping[str, str | None]) -> str:
    return ", ".join(place if what is None else f"{place} ({what})" for place, what in missing.items())


def _arguments(missing: Collection[str]) -> str:
    return ", ".join(f"{ARGUMENTS[place]}=…" for place in missing)
