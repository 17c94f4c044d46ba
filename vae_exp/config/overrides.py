"""Parse overrides: `key=value`, `+key=value`, `++key=value` and `~key`. No other module takes one apart.

Hydra's own parser decides what an override is, so this program and Hydra never read one differently.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cache
from inspect import signature
from pathlib import PurePath
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Quote, QuotedString, RangeSweep
from hydra.core.override_parser.types import Override as HydraOverride
from hydra.errors import HydraException, OverrideParseException
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from vae_exp.errors import ConfigError

ONE_PART = (
    "architecture",
    "dataset",
    "head",
    "likelihood",
    "logger",
    "network",
    "objective",
    "optimizer",
    "posterior",
    "prior",
    "scheduler",
    "trainer",
)
"""Groups of which exactly one choice is built. Hydra would merge the yamls of several choices."""

SPLIT = re.compile(r"(\+\+|\+|~)?([^=]*)=?(.*)", re.DOTALL)
"""The sign, the key and the value of an override. In Hydra's grammar a key has no quotes and no `=`."""

UNQUOTED = re.compile(r"(\+{0,2}(?:resume|sweep\.resume|trust)=)(.*)", re.DOTALL)
"""Overrides that this program reads itself. Their values, such as the path `runs/lr=0.1 (copy)`, need no quotes."""


@dataclass(frozen=True)
class Override:
    """One override, as Hydra reads it. `parse` makes it.

    Attributes:
        text: The override as it is written.
        sign: `+` adds a key, `++` adds a key or changes it, `~` deletes it; "" if the override changes a key.
        key_or_group: The dotted key or the group, without the package: `seed`, `hydra/launcher`.
        package: What follows `@` in the key; None without `@`.
        value_text: The value as it is written, with its quotes; "" without a value.
    """

    text: str
    sign: str
    key_or_group: str
    package: str | None
    value_text: str
    _parsed: HydraOverride = field(repr=False, compare=False)

    @property
    def key(self) -> str:
        """What the override changes: the key or group, with the package."""
        return self.key_or_group if self.package is None else f"{self.key_or_group}@{self.package}"

    @property
    def signed_key(self) -> str:
        """The key behind its sign: the text before `=`."""
        return f"{self.sign}{self.key}"

    @property
    def adds(self) -> bool:
        """Whether the override may add a key that the config does not have."""
        return self.sign in ("+", "++")

    @property
    def deletes(self) -> bool:
        """Whether the override deletes its key."""
        return self.sign == "~"

    @property
    def is_sweep(self) -> bool:
        """Whether the override has several values, which need a sweep."""
        return self._parsed.is_sweep_override()

    @property
    def is_interval(self) -> bool:
        """Whether the override is an interval of numbers, which only a search can sweep over."""
        return self._parsed.is_interval_sweep()

    @property
    def value(self) -> Any:
        """The value as plain data, None for `~key`. For a sweep, Hydra's description of it, e.g. an `IntervalSweep`."""
        return deepcopy(self._parsed.value())

    @property
    def unquoted(self) -> str | None:
        """The value as text without quotes; None for null. A number stays as it is written: 007 can be a directory."""
        return self.value if self.value is None or isinstance(self.value, str) else self.value_text

    @property
    def values(self) -> list[Any]:
        """The values as plain data: one, or each choice of a sweep. The numbers of a range are left out."""
        if not self.is_sweep:
            return [self.value]
        choices = self.choices() if isinstance(self.value, ChoiceSweep) else []
        return [parse(f"key={choice}").value for choice in choices]

    def choices(self, loader: ConfigLoader | None = None) -> list[str]:
        """Return the values of a sweep as they are written in overrides, in the written order, also for a shuffle.

        Args:
            loader: Lists the options of a group, for `glob(…)`.

        Raises:
            HydraException: The override has no values that can be listed: it is an interval, or no sweep.
        """
        value = self.value
        if isinstance(value, ChoiceSweep | RangeSweep):
            value = replace(value, shuffle=False)
        return list(replace(self._parsed, _value=value, config_loader=loader).sweep_string_iterator())

    def for_hydra(self, loader: ConfigLoader | None = None) -> HydraOverride:
        """Return Hydra's own form of the override, for Hydra's functions.

        Args:
            loader: Lists the options of a group, for `glob(…)`.
        """
        return replace(self._parsed, config_loader=loader)

    def with_value(self, value_text: str) -> str:
        """Return the text of the same override with another value, which is written as in an override."""
        return f"{self.signed_key}={value_text}"


@cache  # Hydra takes up to a millisecond for one text, and the jobs of a sweep repeat most of theirs
def parse(text: str) -> Override:
    """Parse an override.

    Raises:
        ConfigError: Hydra cannot parse the text.
    """
    try:
        parsed = _parser().parse_overrides([text])[0]
    except OverrideParseException as error:
        raise ConfigError(unparsable(error)) from error
    except (HydraException, RecursionError, ValueError) as error:  # nested too deeply; a number with too many digits
        raise ConfigError(f"{text}: {error}") from error
    sign, _, value_text = _split(text)
    return Override(text, sign, parsed.key_or_group, parsed.package, value_text, parsed)


def parse_argument(text: str) -> Override:
    """Parse an override of the command line. The values of `resume=`, `sweep.resume=` and `trust=` need no quotes.

    Raises:
        ConfigError: Hydra cannot parse the text.
    """
    try:
        return parse(text)
    except ConfigError:
        match = UNQUOTED.fullmatch(text)
        if match is None:
            raise
        return parse(f"{match[1]}{quoted(match[2])}")


def parse_possible(texts: Iterable[str]) -> list[Override]:
    """Parse those of the texts that are overrides. Flags, and all else that Hydra cannot parse, are left out."""
    overrides = []
    for text in texts:
        try:
            overrides.append(parse(text))
        except ConfigError:
            continue
    return overrides


def parse_sweep(params: Mapping[str, Any] | None, arguments: Sequence[str]) -> list[Override]:
    """Parse the overrides of a sweep. If several have the same key and sign, the last one counts.

    Args:
        params: Key → values, from the config of the sweeper.
        arguments: The overrides of the command line, which take precedence.

    Raises:
        ConfigError: Hydra cannot parse one of them.
    """
    texts = [*(f"{key}={value}" for key, value in (params or {}).items()), *arguments]
    return list({override.signed_key: override for override in map(parse, texts)}.values())


def key_of(text: str) -> str:
    """Return the key of an override; for a recorded text that Hydra cannot parse, what stands before `=`.

    This is for messages and for records, which can be damaged. `parse` refuses such texts.
    """
    return _split(text)[1]


def values_by_key(texts: Iterable[str]) -> dict[str, str]:
    """Return key → value, as it is written, of recorded overrides, also of those that Hydra cannot parse."""
    return {key: value for _, key, value in map(_split, texts)}


def quoted(text: str) -> str:
    """Quote a text as the value of an override."""
    return QuotedString(text, Quote.single).with_quotes()


def value_text(value: Any) -> str:
    """Write a plain Python value as the value of an override.

    Args:
        value: A text, number, boolean, None, path, NumPy scalar, or a list or mapping of these.

    Raises:
        ConfigError: It is something else.
    """
    if getattr(value, "ndim", None) == 0:  # a scalar of NumPy or PyTorch
        value = value.item()
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str | PurePath):
        text = str(value)
        as_it_is = parse_possible([f"key={text}"])
        return text if as_it_is and not as_it_is[0].is_sweep and as_it_is[0].value == text else quoted(text)
    if isinstance(value, list | tuple):
        return f"[{','.join(map(value_text, value))}]"
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{value_text(str(key))}:{value_text(entry)}' for key, entry in value.items())}}}"
    raise ConfigError(
        f"{value!r}: is no plain value: a text, number, true or false, None, or a list of these is needed"
    )


def unparsable(error: OverrideParseException) -> str:
    """Return the message for a text that Hydra cannot parse. It names the text."""
    return str(error) if error.override in str(error) else f"{error.override}: {error}"


def check_overrides(config: DictConfig, overrides: list[str]) -> None:
    """Refuse a list of choices for a group that builds one part, and the deletion of a part's value.

    Hydra accepts them, but they have no meaning here. For a deleted value the constructor would use its default, and
    neither the record nor the results would contain it. If another `_target_` has no such argument, the value has to be
    deleted.

    Args:
        config: The composed config.
        overrides: The overrides that it was composed with. Hydra has put the values of environment variables into
            them, so their values can be texts that it cannot parse.

    Raises:
        ConfigError: There is such a list or deletion.
    """
    for override in parse_possible(overrides):
        if override.deletes:
            _check_deleted(config, override.key)
        elif override.key_or_group.partition("/")[0] in ONE_PART and isinstance(override.value, list):
            raise ConfigError(f"{override.text}: is a list; one choice is needed: {override.signed_key}=…")


def _check_deleted(config: DictConfig, key: str) -> None:
    parent, _, name = key.rpartition(".")
    part = OmegaConf.select(config, parent) if parent else config
    if isinstance(part, DictConfig) and "_target_" in part and name not in list(part) and _has_argument(part, name):
        raise ConfigError(f"{key}: a value is needed: leave ~{key} out, or give one ({key}=…)")


def _has_argument(part: DictConfig, name: str) -> bool:
    """Tell whether what a part's `_target_` names has this argument; yes if that cannot be found out."""
    try:
        return name in signature(get_object(str(part["_target_"]))).parameters
    except Exception:  # any may come from the user's module; the check of the config reports it
        return True


def _split(text: str) -> tuple[str, str, str]:
    """Return the sign, the key and the text of the value."""
    match = SPLIT.fullmatch(text)
    assert match is not None  # every part of the pattern may be empty
    sign, key, value = match.groups(default="")
    return sign, key, value.lstrip(" \t")  # Hydra ignores blanks after `=`


@cache
def _parser() -> OverridesParser:
    return OverridesParser.create()
