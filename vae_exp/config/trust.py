"""Decide which `_target_`s of a stored config may be built: our own parts, each in its place, and trusted packages'."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from hydra.utils import get_object
from omegaconf import OmegaConf

from vae_exp.config.objects import TARGET as OBJECT
from vae_exp.config.paths import CONFIG_DIR
from vae_exp.config.stored import Damaged, check_files, leaves, printable, read_config
from vae_exp.errors import ConfigError, RunError

OWN_PACKAGES = ("vae_exp", "hydra_plugins")
GROUPS_OF_SEVERAL_PARTS = ("callbacks", "logger")
"""Groups that contain several parts, each under its own name."""

BUILD_KEYS = {"_target_", "_args_", "_convert_", "_recursive_"}
"""Keys that control how Hydra builds a node. `_partial_` is not listed because it is harmless."""

TARGETS_OF_LIBRARIES = {
    # callbacks of Lightning that take only numbers and names, and write no files themselves
    "callbacks": {
        f"pytorch_lightning.callbacks.{name}"
        for name in (
            "DeviceStatsMonitor",
            "EarlyStopping",
            "LearningRateMonitor",
            "ModelSummary",
            "RichModelSummary",
            "RichProgressBar",
            "Timer",
            "TQDMProgressBar",
        )
    }
    | {OBJECT},
    "hydra.sweeper.sampler": {
        f"optuna.samplers.{name}Sampler"
        for name in ("BruteForce", "CmaEs", "GP", "Grid", "NSGAII", "NSGAIII", "QMC", "Random", "TPE")
    },
}

Packages = str | Iterable[str] | None


@dataclass(frozen=True)
class Trust:
    """The `_target_`s that a directory may name in addition to this project's own parts.

    Args:
        packages: Packages or modules of which everything may be named.
        names: Single `_target_`s, such as those on the caller's own command line.
    """

    packages: tuple[str, ...] = ()
    names: frozenset[str] = frozenset()

    def check(self, node: Any, where: str) -> None:
        """Refuse `_target_`s that may not be built. They are refused by name, so untrusted code is never imported.

        Args:
            node: Plain values, such as those of a stored config.
            where: The file that contains them.

        Raises:
            RunError: A `_target_` is not allowed in its place and is not trusted.
        """
        for place, part in nodes_to_build(node):
            self._check_part(place, part, where)

    def _check_part(self, place: str, part: dict[str, Any], where: str) -> None:
        name = str(part.get("_target_", ""))
        if name in self.names:
            return
        if self._covers(name):
            self._check_origin(place, name, where)
            return
        if "_target_" in part and name not in allowed_targets(place):
            raise RunError(_refusal(place, name, where))
        for key in sorted(part.keys() & BUILD_KEYS - {"_target_"}):
            key = f"{printable(place)}.{key}={printable(part[key])}"
            raise RunError(f"{key} in {printable(where)}: is refused: no part of ours is written so")

    def _covers(self, name: str) -> bool:
        own = name.partition(".")[0] in OWN_PACKAGES
        return not own and any(f"{name}.".startswith(f"{package}.") for package in self.packages)

    def _check_origin(self, place: str, name: str, where: str) -> None:
        """Check that a trusted package itself defines the target, and does not only import it, such as `os.system`."""
        try:
            part = get_object(name)
        except Exception as error:
            raise ConfigError(f"{place}._target_: cannot import {name!r} ({error})") from error
        origin = getattr(part, "__module__", None)
        if not callable(part) or not isinstance(origin, str) or not self._covers(origin):
            raise RunError(_refusal(place, name, where, origin if isinstance(origin, str) else "nowhere"))


def trusted_packages(packages: Packages) -> tuple[str, ...]:
    """Return the packages that `trust=` names: one package, several separated by commas, or a list.

    Raises:
        ConfigError: A name is not a package name.
    """
    if packages is None:
        return ()
    names = packages.strip("[]").split(",") if isinstance(packages, str) else list(packages)
    names = [str(name).strip(" '\"") for name in names]
    for name in names:
        if not all(part.isidentifier() for part in name.split(".")):
            raise ConfigError(f"trust={printable(name)}: is not allowed: the name of a package, trust=my_package")
    return tuple(names)


def check_directory(path: Path, trust: Trust) -> None:
    """Check every config in a run or sweep directory, including those of its stages and jobs.

    Raises:
        RunError: A config names a `_target_` that is not trusted or contains an interpolation; a link leads out of the
            directory; or a file is a pipe.
    """
    check_files(path)
    for file in sorted(path.rglob(".hydra/config.yaml")):
        try:
            config = read_config(file)
        except Damaged:  # nothing is built from it; the code that needs it reports it
            continue
        trust.check(OmegaConf.to_container(config), str(file))


def nodes_to_build(node: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the place and the node, for every node at any depth with a key that makes Hydra build an object."""
    items: dict[Any, Any] = dict(enumerate(node)) if isinstance(node, list) else node if isinstance(node, dict) else {}
    if BUILD_KEYS & items.keys():
        yield place, items
    for key, value in items.items():
        yield from nodes_to_build(value, f"{place}.{key}" if place else str(key))


def targets_in(node: Any) -> frozenset[str]:
    """Return the `_target_`s in plain values."""
    return frozenset(str(part["_target_"]) for _, part in nodes_to_build(node) if "_target_" in part)


def packages_of(names: frozenset[str]) -> list[str]:
    """Return the packages that must be trusted before these `_target_`s may be built."""
    ours = frozenset().union(*packaged_targets().values(), *TARGETS_OF_LIBRARIES.values())
    return sorted({name.partition(".")[0] for name in names - ours} - set(OWN_PACKAGES))


def allowed_targets(place: str) -> frozenset[str]:
    """Return the `_target_`s that may be built in a place."""
    top, _, rest = place.partition(".")
    if top in GROUPS_OF_SEVERAL_PARTS and rest and "." not in rest:
        place = top
    return packaged_targets().get(place, frozenset()) | TARGETS_OF_LIBRARIES.get(place, set())


@cache
def packaged_targets() -> dict[str, frozenset[str]]:
    """Collect the `_target_`s in the packaged yaml files by place."""
    by_place: dict[str, set[str]] = {}
    for file in sorted(CONFIG_DIR.glob("*/**/*.yaml")):
        group = ".".join(file.relative_to(CONFIG_DIR).parent.parts)
        for key, name in leaves(yaml.safe_load(file.read_text(encoding="utf-8")), group):
            place, _, last = key.rpartition(".")
            if last == "_target_":
                top = place.partition(".")[0]
                by_place.setdefault(top if top in GROUPS_OF_SEVERAL_PARTS else place, set()).add(name)
    return {place: frozenset(names) for place, names in by_place.items()}


def _refusal(place: str, name: str, where: str, origin: str = "") -> str:
    names = ", ".join(sorted(allowed_targets(place) - {OBJECT}))
    package = (origin or name).partition(".")[0]
    offer = (
        "" if package in OWN_PACKAGES or not package.isidentifier() else f" If you trust its package: trust={package}"
    )
    really = f", which is from {origin}" if origin else ""
    return (
        f"{printable(place)}._target_={printable(name)} in {printable(where)}{really}: is refused: a directory may "
        f"name only our own parts, each in its place. Allowed here: {names or 'none'}.{offer}"
    )
