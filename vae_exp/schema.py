"""The constructors' annotations are the schema: hold a composed config against them before anything is built."""

import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import is_dataclass
from typing import Any, get_type_hints

from hydra.utils import get_object
from omegaconf import DictConfig, ListConfig, OmegaConf
from pydantic import ConfigDict, TypeAdapter, ValidationError

from vae_exp.errors import ConfigError, unknown_key


class Node:
    """In an annotation: a config node that is built, so one with a `_target_`."""


class Nodes:
    """In an annotation: a folder of such nodes; null leaves one out."""


HYDRA_KEYS = {"_target_", "_partial_", "_convert_", "_recursive_", "_args_"}


def check(
    node: DictConfig, build: Callable[..., Any], path: str = "", given: Mapping[str, Collection[str]] | None = None
) -> None:
    """Check the keys and values of a config node against the signature of what it builds, and all nodes in it.

    Values are replaced by what the annotation makes of them (`samples=1e6` becomes an int).

    Args:
        node: The node, interpolations and all.
        build: The class or function that the node's keys are arguments of.
        path: The node's key on the command line.
        given: By path, the arguments that the program passes itself: not for the config.

    Raises:
        ConfigError: An unknown or missing key, or a value that its annotation does not allow.
    """
    if not _has_signature(build):
        return
    annotations = _annotations(build)
    given = given or {}
    allowed = [name for name in annotations if name not in given.get(path, ())]
    prefix = f"{path}." if path else ""
    for key in map(str, node):
        if key in HYDRA_KEYS:
            continue
        if key not in allowed:
            raise ConfigError(unknown_key(prefix, key, allowed))
        if OmegaConf.is_missing(node, key):
            raise ConfigError(f"{prefix}{key}: a value is needed")
        _check_value(node, key, annotations[key], f"{prefix}{key}", given)
    for name in _required(build):
        if name in allowed and name not in node:
            raise ConfigError(f"{prefix}{name}: a value is needed (+{prefix}{name}=…)")


def target(node: DictConfig, path: str) -> Callable[..., Any]:
    """The class or function that a node's `_target_` names.

    Raises:
        ConfigError: There is no such thing.
    """
    try:
        found: Callable[..., Any] = get_object(str(node["_target_"]))
    except Exception as error:
        raise ConfigError(f"{path}._target_: cannot import {node['_target_']!r} ({error})") from error
    return found


def _check_value(node: DictConfig, key: str, annotation: Any, path: str, given: Mapping[str, Collection[str]]) -> None:
    value = node[key]
    if isinstance(value, DictConfig) and "_target_" in value:
        check(value, target(value, path), path, given)
    elif annotation in (Nodes, Nodes | None) and isinstance(value, DictConfig):
        for name in map(str, value):
            if isinstance(value[name], DictConfig) and "_target_" not in value[name]:
                raise ConfigError(unknown_key(f"{path}.", name, [str(other) for other in value if other != name]))
            _check_value(value, name, Node | None, f"{path}.{name}", given)
    elif isinstance(value, DictConfig) and is_dataclass(annotation):
        check(value, annotation, path, given)  # type: ignore[arg-type]
    elif annotation in (Node | None, Nodes | None) and not value:
        return
    elif annotation in (Node, Nodes, Node | None, Nodes | None):
        raise ConfigError(f"{path}={value}: is not allowed: a part is needed here, something with a _target_")
    else:
        plain = OmegaConf.to_container(value) if isinstance(value, DictConfig | ListConfig) else value
        checked = _checked(plain, annotation, path)
        if isinstance(checked, bool | int | float | str) and checked is not plain:
            node[key] = checked


def _checked(value: Any, annotation: Any, path: str) -> Any:
    if isinstance(value, bool) and annotation is not bool and not _accepts(True, annotation, strict=True):
        raise ConfigError(f"{path}={value}: is not allowed: a number or name is needed here, not true or false")
    try:
        return _adapter(annotation).validate_python(value)
    except ValidationError as error:
        reasons = dict.fromkeys(detail["msg"] for detail in error.errors())
        hint = ""
        if any(detail["type"] == "is_instance_of" for detail in error.errors()):
            *groups, name = path.split(".")
            hint = f". A part is chosen with a slash: {'/'.join([*groups, name])}={value}"
        raise ConfigError(f"{path}={value}: is not allowed: {' or '.join(reasons)}{hint}") from error


def _accepts(value: Any, annotation: Any, strict: bool) -> bool:
    try:
        _adapter(annotation).validate_python(value, strict=strict)
    except ValidationError:
        return False
    return True


def _adapter(annotation: Any) -> TypeAdapter[Any]:
    if is_dataclass(annotation):
        return TypeAdapter(annotation)
    return TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True))


def _has_signature(build: Callable[..., Any]) -> bool:
    """Whether it tells its arguments; what is written in C, such as datetime.timedelta, may not."""
    try:
        inspect.signature(build)
    except ValueError:
        return False
    return True


def _parameters(build: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = inspect.signature(build).parameters
    return {name: parameter for name, parameter in parameters.items() if parameter.kind in kinds}


def _base_of(build: Callable[..., Any]) -> type | None:
    """The class that a class hands its further keyword arguments to."""
    takes_more = any(p.kind is p.VAR_KEYWORD for p in inspect.signature(build).parameters.values())
    return build.__mro__[1] if inspect.isclass(build) and takes_more else None


def _annotations(build: Callable[..., Any]) -> dict[str, Any]:
    plain_class = inspect.isclass(build) and not is_dataclass(build)
    hints = get_type_hints(build.__init__ if plain_class else build, include_extras=True)
    own = {name: hints.get(name, Any) for name in _parameters(build)}
    base = _base_of(build)
    return own if base is None else _annotations(base) | own


def _required(build: Callable[..., Any]) -> list[str]:
    return [name for name, parameter in _parameters(build).items() if parameter.default is parameter.empty]
