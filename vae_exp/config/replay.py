"""Check stored overrides for `resume=` and `sweep.resume=`: they may only choose packaged parts and set values."""

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from vae_exp.config.overrides import Override, key_of, parse, parse_possible
from vae_exp.config.stored import Damaged, leaves, printable, read_yaml
from vae_exp.config.trust import Trust, packages_of, targets_in
from vae_exp.errors import ConfigError, RunError

VALUE_KEYS = {"name", "seed", "samples", "weight_prior", "start_from", "stages", "touch", "paths"}
"""Top-level keys that are values. Any other override without a dot in its key chooses a part."""

HYDRA_CHOICES = {"hydra/launcher", "hydra/sweeper", "hydra/job_logging", "hydra/hydra_logging"}
HYDRA_SETTINGS = {
    "hydra": "mode verbose",
    "hydra.job": "chdir",
    "hydra.sweep": "dir subdir",
    "hydra.sweeper": "metric n_jobs n_trials params sampler seed",
    # keys that run commands, open connections or name files are left out: the user has to type them again
    "hydra.launcher": "account array_parallelism constraint cpus_per_gpu cpus_per_task gpus_per_node gpus_per_task "
    "gres jobs max_num_timeout mem_gb mem_per_cpu mem_per_gpu n_jobs name nodes num_cpus_per_job num_gpus_per_job "
    "partition qos signal_delay_s stderr_to_stdout tasks_per_node threads timeout_min",
    "hydra.launcher.init": "num_cpus num_gpus",
}
"""Keys of Hydra's own config that a stored sweep may set."""

NAME = r"\w[\w.+-]*"
REFERENCE = r"\$\{[\w.]+\}"
STAGE = r"\{\w+\}$"
"""A regular expression for a reference to an earlier stage's directory: the name of the stage in braces."""


def check_replayed(overrides: list[str], trust: Trust, where: str, sweep: bool = False) -> None:
    """Refuse stored overrides that could run code, write outside the directory or read files outside it.

    Args:
        overrides: The stored overrides.
        trust: Which `_target_`s they may name.
        where: The file that contains them.
        sweep: Whether they belong to a sweep, which may also set how its jobs are launched.

    Raises:
        RunError: An override does more than choose a packaged part or set a value.
    """
    for text in overrides:
        override = _parsed(text, where, sweep)
        key = override.key_or_group
        if override.package is not None:
            raise _refused(text, where, "puts a part in another place")
        if re.split(r"[./]", key)[0] in ("resume", "trust"):
            raise _refused(text, where, "is for the command line")
        if re.split(r"[./]", key)[0] == "hydra":
            _check_setting(override, where, sweep)
        for value in override.values:
            if ("." not in key and key not in VALUE_KEYS) or key in HYDRA_CHOICES:
                _check_choice(text, value, where)
            trust.check(_nested(key, value), where)
            if key.partition(".")[0] == "stages":
                own = [re.sub(STAGE, "null", inner) for _, inner in leaves(value) if isinstance(inner, str)]
                check_replayed(own, trust, f"stages in {where}")
            if key.startswith("hydra.sweeper.params"):
                check_replayed(_of_params(key, value), trust, where)


def targets_named_by(overrides: list[str], config_dirs: list[Path]) -> frozenset[str]:
    """Return the `_target_`s that a command line names, in its overrides and in its config directories."""
    parsed = parse_possible(overrides)
    names = [targets_in(_nested(override.key_or_group, value)) for override in parsed for value in override.values]
    for file in (file for folder in config_dirs for file in folder.rglob("*.yaml")):
        with suppress(Damaged):  # Hydra reports it
            names.append(targets_in(read_yaml(file)))
    return frozenset().union(*names)


def trust_override(overrides: list[str]) -> list[str]:
    """Return the `trust=` that the user must add to `resume=` to replay these overrides; [] if none is needed."""
    packages = packages_of(targets_named_by(overrides, []))
    return [f"trust={packages[0] if len(packages) == 1 else '[' + ','.join(packages) + ']'}"] if packages else []


def _parsed(text: str, where: str, sweep: bool) -> Override:
    try:
        override = parse(text)
    except ConfigError as error:
        raise _refused(text, where, "is an interpolation" if "${" in text else "is no override") from error
    sets_subdir = sweep and override.key == "hydra.sweep.subdir" and not override.deletes
    if "${" in (re.sub(REFERENCE, "", text) if sets_subdir else text):
        raise _refused(text, where, "is an interpolation")
    return override


def _nested(key: str, value: Any) -> Any:
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


def _check_choice(text: str, value: Any, where: str) -> None:
    names = value if isinstance(value, list) else [value]
    if not all(name is None or re.fullmatch(NAME, str(name)) for name in names):
        raise _refused(text, where, "names no part of ours")


def _check_setting(override: Override, where: str, sweep: bool) -> None:
    group, _, name = override.key_or_group.rpartition(".")
    allowed = override.key_or_group in HYDRA_CHOICES or name in HYDRA_SETTINGS.get(group, "").split()
    deeper = override.key_or_group.startswith(("hydra.sweeper.params.", "hydra.sweeper.sampler."))
    address = override.text == "hydra.launcher.address=auto"
    if not sweep or not (allowed or deeper or address):
        raise _refused(override.text, where, "changes how the program runs")
    if group.startswith("hydra.launcher"):
        for value in override.values:
            if not re.fullmatch(r"[\w.:+-]*", str(value)):
                raise _refused(override.text, where, "changes how the program runs")


def _of_params(key: str, value: Any) -> list[str]:
    """Return the overrides that a sweeper's `params` stand for."""
    name = key.removeprefix("hydra.sweeper.params").removeprefix(".")
    if isinstance(value, dict):
        return [f"{inner}={text}" for inner, text in leaves(value)]
    return [f"{name}={value}"] if name else []


def _refused(text: str, where: str, reason: str) -> RunError:
    key = printable(key_of(text))
    return RunError(
        f"{key}: {printable(text)} in {printable(where)} is refused: a stored word may choose packaged parts and set "
        f"values, this one {reason}. If you trust it, type it yourself"
    )
