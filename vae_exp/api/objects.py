"""Check the objects that a program passes in place of groups, and choose `object` for these groups."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pytorch_lightning as pl

from vae_exp.config.objects import CHOICE, Objects
from vae_exp.config.overrides import parse_possible
from vae_exp.dataset import Source, Tensors
from vae_exp.errors import ConfigError
from vae_exp.foreign import DOCS
from vae_exp.likelihood import Likelihood
from vae_exp.network import Network

GROUPS = {"dataset.source": "dataset", "network": "network", "likelihood": "likelihood"}
"""The group that has the choice `object`, by the place of the object."""


def objects_of(data: Any = None, network: Any = None, likelihood: Any = None, callbacks: Any = ()) -> Objects:
    """Return the objects that are given, by the place of the node that each replaces.

    Args:
        data: A `Source`, images, a pair of images and labels, or a mapping of arrays.
        network: A `Network`.
        likelihood: A `Likelihood`.
        callbacks: Callbacks of Lightning.

    Raises:
        ConfigError: An object has another class.
        DataError: The images are no array.
    """
    parts = {
        "dataset.source": None if data is None else _source(data),
        "network": _checked(network, "network", Network),
        "likelihood": _checked(likelihood, "likelihood", Likelihood),
    }
    if isinstance(callbacks, pl.Callback) or not isinstance(callbacks, Iterable):
        raise ConfigError("callbacks: a list of callbacks is needed: callbacks=[…]")
    for i, callback in enumerate(callbacks):
        parts[f"callbacks.{CHOICE}_{i}"] = _checked(callback, f"callbacks[{i}]", pl.Callback)
    return {place: part for place, part in parts.items() if part is not None}


def choices_of(objects: Objects, words: Sequence[str]) -> list[str]:
    """Return the overrides that choose `object` for the groups of the objects.

    Args:
        objects: The objects.
        words: The other overrides.

    Raises:
        ConfigError: One of the others chooses something else for such a group.
    """
    groups = [group for place, group in GROUPS.items() if place in objects]
    chosen = {override.key: override for override in parse_possible(words)}
    for group in groups:
        if group in chosen and chosen[group].value != CHOICE:
            raise ConfigError(f"{chosen[group].text}: the {group} is passed as an object. Leave one of them out")
    return [f"{group}={CHOICE}" for group in groups if group not in chosen]


def _source(data: Any) -> Source:
    if isinstance(data, Source):
        return data
    if isinstance(data, tuple) and len(data) == 2:
        return Tensors(*data)
    if isinstance(data, Mapping | list) or hasattr(data, "__array__"):
        return Tensors(data)
    raise ConfigError(
        "data: a Source, images (N, …), a pair (images, labels) or a mapping of arrays is needed, not a "
        f"{type(data).__name__} (docs/python.md)"
    )


def _checked(part: Any, name: str, kind: type) -> Any:
    if part is None or isinstance(part, kind):
        return part
    described = f"the class {part.__name__}: pass an object of it" if isinstance(part, type) else type(part).__name__
    raise ConfigError(f"{name}: a {kind.__module__}.{kind.__name__} is needed, not {described} ({DOCS})")
