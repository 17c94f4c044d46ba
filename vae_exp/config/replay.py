"""The words that `resume=` and `sweep.resume=` replay: they choose packaged parts and set values, and no more."""

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override
from hydra.errors import HydraException

from vae_exp.config.stored import Damaged, leaves, printable, read_yaml
from vae_exp.config.trust import Trust, packages_of, targets
from vae_exp.errors import RunError

VALUES = {"name", "seed", "samples", "weight_prior", "start_from", "stages", "paths"}
"""The keys at the top that are values; any other word without a dot chooses a part."""

CHOICES = {"hydra/launcher", "hydra/sweeper", "hydra/job_logging", "hydra/hydra_logging"}
SETTINGS = {
    "hydra": "mode verbose",
    "hydra.job": "chdir",
    "hydra.sweep": "dir subdir",
    "hydra.sweeper": "metric n_jobs n_trials params sampler seed",
    # what runs commands, opens connections or names files is typed again
    "hydra.launcher": "account array_parallelism constraint cpus_per_gpu cpus_per_task gpus_per_node gpus_per_task "
    "gres max_num_timeout mem_gb mem_per_cpu mem_per_gpu n_jobs name nodes num_cpus_per_job num_gpus_per_job partition "
    "qos signal_delay_s stderr_to_stdout tasks_per_node timeout_min",
    "hydra.launcher.init": "num_cpus num_gpus",
}
"""Hydra's own keys that a sweep may bring along."""

NAME = r"\w[\w.+-]*"
REFERENCE = r"\$\{[\w.]+\}"
STAGE = r"\{\w+\}$"
"""How a stage's word names an earlier stage's directory."""


def check_words(words: list[str], trust: Trust, where: str, sweep: bool = False) -> None:
    """Refuse words that could run something, write elsewhere or read what is not theirs.

    Args:
        words: Overrides as they were stored.
        trust: What the caller lets them name.
        where: The file that they stand in.
        sweep: Whether they are a sweep's, which says how its jobs are launched.

    Raises:
        RunError: One does more than to choose a packaged part or to set a value.
    """
    for word in words:
        override = _parsed(word, where, sweep)
        key = override.key_or_group
        if override.package is not None:
            raise _refused(word, where, "puts a part in another place")
        if re.split(r"[./]", key)[0] in ("resume", "trust"):
            raise _refused(word, where, "is for the command line")
        if re.split(r"[./]", key)[0] == "hydra":
            _check_setting(word, override, where, sweep)
        for value in _values(override):
            if ("." not in key and key not in VALUES) or key in CHOICES:
                _check_choice(word, value, where)
            trust.check(_nested(key, value), where)
            if key.partition(".")[0] == "stages":
                own = [re.sub(STAGE, "null", text) for _, text in leaves(value) if isinstance(text, str)]
                check_words(own, trust, f"stages in {where}")
            if key.startswith("hydra.sweeper.params"):
                check_words(_of_params(key, value), trust, where)


def named_by(words: list[str], config_dirs: list[Path]) -> frozenset[str]:
    """The `_target_`s that a command line names, in its words and in the config directories that it names."""
    found = [targets(node) for word in words for node in _nodes(word)]
    for file in (file for folder in config_dirs for file in folder.rglob("*.yaml")):
        with suppress(Damaged):  # Hydra says so
            found.append(targets(read_yaml(file)))
    return frozenset().union(*found)


def trust_words(words: list[str]) -> list[str]:
    """What has to be typed beside `resume=` for these words to be replayed."""
    packages = packages_of(named_by(words, []))
    return [f"trust={packages[0] if len(packages) == 1 else '[' + ','.join(packages) + ']'}"] if packages else []


def _nodes(word: str) -> list[Any]:
    """What a word adds to the config, for each of its values; nothing for what is no override."""
    with suppress(HydraException, RecursionError):
        override = OverridesParser.create().parse_override(word)
        return [_nested(override.key_or_group, value) for value in _values(override)]
    return []


def _parsed(word: str, where: str, sweep: bool) -> Override:
    named = sweep and word.lstrip("+").startswith("hydra.sweep.subdir=")
    if "${" in (re.sub(REFERENCE, "", word) if named else word):
        raise _refused(word, where, "is an interpolation")
    try:
        override: Override = OverridesParser.create().parse_override(word)
    except (HydraException, RecursionError) as error:
        raise _refused(word, where, "is no override") from error
    return override


def _values(override: Override) -> list[Any]:
    """What it sets its key to; each of a sweep's choices, but not numbers of a range."""
    if not override.is_sweep_override():
        return [override.value()]
    sweep = override.value()
    if not isinstance(sweep, ChoiceSweep):
        return []
    parser = OverridesParser.create()
    return [parser.parse_override(f"x={text}").value() for text in override.sweep_string_iterator()]


def _nested(key: str, value: Any) -> Any:
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


def _check_choice(word: str, value: Any, where: str) -> None:
    names = value if isinstance(value, list) else [value]
    if not all(name is None or re.fullmatch(NAME, str(name)) for name in names):
        raise _refused(word, where, "names no part of ours")


def _check_setting(word: str, override: Override, where: str, sweep: bool) -> None:
    group, _, name = override.key_or_group.rpartition(".")
    known = override.key_or_group in CHOICES or name in SETTINGS.get(group, "").split()
    deeper = override.key_or_group.startswith(("hydra.sweeper.params.", "hydra.sweeper.sampler."))
    address = override.input_line == "hydra.launcher.address=auto"
    if not sweep or not (known or deeper or address):
        raise _refused(word, where, "changes how the program runs")
    if group.startswith("hydra.launcher"):
        for value in _values(override):
            if not re.fullmatch(r"[\w.:+-]*", str(value)):
                raise _refused(word, where, "changes how the program runs")


def _of_params(key: str, value: Any) -> list[str]:
    """The words that a sweep's `params` stand for."""
    name = key.removeprefix("hydra.sweeper.params").removeprefix(".")
    if isinstance(value, dict):
        return [f"{inner}={text}" for inner, text in leaves(value)]
    return [f"{name}={value}"] if name else []


def _refused(word: str, where: str, reason: str) -> RunError:
    key = printable(word.partition("=")[0].lstrip("+~"))
    return RunError(
        f"{key}: {printable(word)} in {printable(where)} is refused: a stored word may choose packaged parts and set "
        f"values, this one {reason}. If you trust it, type it yourself"
    )
