"""Check a composed config against its schema, the annotations of the constructors, before anything is built."""

import inspect
from abc import ABCMeta
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import is_dataclass
from itertools import chain
from typing import Any, Literal, get_args, get_origin, get_type_hints

from hydra.utils import get_object
from omegaconf import DictConfig, ListConfig, OmegaConf
from pydantic import ConfigDict, TypeAdapter, ValidationError

from vae_exp.config.lightning import unknown_key_message
from vae_exp.errors import ConfigError, nearest_first, unknown_key
from vae_exp.foreign import DOCS


class Node:
    """The annotation of a key that holds a config node with a `_target_`, from which a part is built."""


class Nodes:
    """The annotation of a key that holds several nodes, each under its own name; null removes a node."""


HYDRA_KEYS = {"_target_", "_partial_", "_convert_", "_recursive_", "_args_"}

LARGEST_INTEGER = 2**63 - 1
"""The largest whole number that PyTorch can count with."""


def check_node(
    node: DictConfig,
    build: Callable[..., Any],
    path: str = "",
    set_by_program: Mapping[str, Collection[str]] | None = None,
) -> None:
    """Check the keys and values of a config node, and of all nodes in it, against the signatures of what they build.

    Values are converted to the annotated type in place (`samples=1e6` becomes an int).

    Args:
        node: The node. It may contain interpolations.
        build: The class or function whose arguments are the node's keys.
        path: The node's key on the command line.
        set_by_program: For each path, the arguments that the program passes itself, so the config cannot set them.

    Raises:
        ConfigError: A key is unknown or missing, or its annotation does not allow a value.
    """
    if not _has_signature(build):
        return
    annotations = _annotations(build)
    set_by_program = set_by_program or {}
    allowed = [name for name in annotations if name not in set_by_program.get(path, ())]
    prefix = f"{path}." if path else ""
    present = [str(key) for key in node]
    for key in present:
        if key not in HYDRA_KEYS and key not in allowed and not _takes_any(build):
            raise ConfigError(unknown_key_message(prefix, key, allowed))
    for name in _required(build):
        if name in allowed and name not in present:
            raise ConfigError(f"{prefix}{name}: a value is needed (+{prefix}{name}=…)")
    for key in filter(present.__contains__, allowed):  # in this order `paths` is checked before values that use it
        _check_value(node, key, annotations[key], f"{prefix}{key}", set_by_program)


def target_of(node: DictConfig, path: str) -> Callable[..., Any]:
    """Return the class or function that a node's `_target_` names.

    Raises:
        ConfigError: The name cannot be imported, or is not a class or function with a signature.
    """
    try:
        named: Callable[..., Any] = get_object(str(node["_target_"]))
    except Exception as error:
        raise ConfigError(f"{path}._target_: cannot import {node['_target_']!r} ({error})") from error
    if not callable(named):
        kind = type(named).__name__
        raise ConfigError(f"{path}._target_={node['_target_']}: is a {kind}; a class or function is needed")
    try:
        inspect.signature(named)
    except ValueError as error:
        raise ConfigError(f"{path}._target_={node['_target_']}: does not say what its arguments are") from error
    return named


def _check_value(
    node: DictConfig, key: str, annotation: Any, path: str, set_by_program: Mapping[str, Collection[str]]
) -> None:
    if OmegaConf.is_missing(node, key):
        raise ConfigError(f"{path}: a value is needed")
    value = node[key]
    if isinstance(value, DictConfig) and "_target_" in value:
        _check_kind(target_of(value, path), annotation, path)
        _check_complete(target_of(value, path), path)
        check_node(value, target_of(value, path), path, set_by_program)
    elif annotation in (Nodes, Nodes | None) and isinstance(value, DictConfig):
        for name in map(str, value):
            if isinstance(value[name], DictConfig) and "_target_" not in value[name]:
                raise ConfigError(unknown_key(f"{path}.", name, [str(other) for other in value if other != name]))
            _check_value(value, name, Node | None, f"{path}.{name}", set_by_program)
    elif isinstance(value, DictConfig) and is_dataclass(annotation):
        check_node(value, annotation, path, set_by_program)  # type: ignore[arg-type]
    elif annotation in (Node | None, Nodes | None) and value in (None, {}):
        return
    elif annotation in (Node, Nodes, Node | None, Nodes | None):
        raise ConfigError(f"{path}={value}: is not allowed: a part is needed here, something with a _target_")
    else:
        plain = OmegaConf.to_container(value) if isinstance(value, DictConfig | ListConfig) else value
        checked = _checked(plain, annotation, path)
        if isinstance(checked, bool | int | float | str) and checked is not plain:
            node[key] = checked


def _check_kind(built: Callable[..., Any], annotation: Any, path: str) -> None:
    """Check that a class is a subclass of the annotated abstract class, if there is one."""
    wanted = [kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, ABCMeta)]
    if inspect.isclass(built) and wanted and not issubclass(built, tuple(wanted)):
        names = " or ".join(kind.__name__ for kind in wanted)
        raise ConfigError(f"{path}._target_={built.__module__}.{built.__qualname__}: a {names} is needed here")


def _check_complete(built: Callable[..., Any], path: str) -> None:
    """Check that a class has every method that its abstract classes demand."""
    missing = sorted(getattr(built, "__abstractmethods__", ()))
    if missing and inspect.isclass(built):
        demanding = {kind.__name__ for kind in built.__mro__[1:] if not {*missing}.isdisjoint(vars(kind))}
        raise ConfigError(
            f"{path}._target_={built.__module__}.{built.__qualname__}: lacks {', '.join(missing)}, which "
            f"{' and '.join(sorted(demanding))} must have ({DOCS})"
        )


def _checked(value: Any, annotation: Any, path: str) -> Any:
    if isinstance(value, bool) and annotation is not bool and not _accepts(True, annotation, strict=True):
        raise ConfigError(f"{path}={value}: is not allowed: a number or name is needed here, not true or false")
    try:
        checked = _adapter(annotation).validate_python(value)
    except ValidationError as error:
        reasons = dict.fromkeys(detail["msg"] for detail in error.errors())
        hint = ""
        if any(detail["type"] == "is_instance_of" for detail in error.errors()):
            *groups, name = path.split(".")
            hint = f". A part is chosen with a slash: {'/'.join([*groups, name])}={value}"
        if (choices := _choices(annotation)) and isinstance(value, str):
            hint = f". Did you mean {nearest_first(value, choices)[0]}?"
        raise ConfigError(f"{path}={value}: is not allowed: {' or '.join(reasons)}{hint}") from error
    if any(isinstance(number, int) and abs(number) > LARGEST_INTEGER for number in _leaves(checked)):
        raise ConfigError(f"{path}={value}: is not allowed: a whole number is at most {LARGEST_INTEGER}")
    return checked


def _choices(annotation: Any) -> list[str]:
    """Return the texts that a `Literal` allows, alone or beside other types; empty if there is none."""
    literals = [kind for kind in (annotation, *get_args(annotation)) if get_origin(kind) is Literal]
    return [choice for kind in literals for choice in get_args(kind) if isinstance(choice, str)]


def _leaves(value: Any) -> Iterator[Any]:
    """Yield a value, or the values of a list or tuple."""
    if isinstance(value, list | tuple):
        yield from chain.from_iterable(map(_leaves, value))
    else:
        yield value


def _accepts(value: Any, annotation: Any, strict: bool) -> bool:
    try:
        _adapter(annotation).validate_python(value, strict=strict)
    except ValidationError:
        return False
    return True


def _adapter(annotation: Any) -> TypeAdapter[Any]:
    if is_dataclass(annotation):
        return TypeAdapter(annotation)
    # no key has a meaningful infinite value
    return TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True, allow_inf_nan=False))


def _has_signature(build: Callable[..., Any]) -> bool:
    """Tell whether the arguments of a callable are known. Those of C types, such as datetime.timedelta, may not be."""
    try:
        inspect.signature(build)
    except ValueError:
        return False
    return True


def _parameters(build: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = inspect.signature(build).parameters
    return {name: parameter for name, parameter in parameters.items() if parameter.kind in kinds}


def _takes_any(build: Callable[..., Any]) -> bool:
    return any(p.kind is p.VAR_KEYWORD for p in inspect.signature(build).parameters.values())


def _annotations(build: Callable[..., Any]) -> dict[str, Any]:
    plain_class = inspect.isclass(build) and not is_dataclass(build)
    hints = get_type_hints(build.__init__ if plain_class else build, include_extras=True)
    return {name: hints.get(name, Any) for name in _parameters(build)}


def _required(build: Callable[..., Any]) -> list[str]:
    return [name for name, parameter in _parameters(build).items() if parameter.default is parameter.empty]
