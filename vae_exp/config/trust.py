"""Which `_target_`s of a stored config may be built: our own parts, each in its place, and trusted packages'."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from hydra.utils import get_object
from omegaconf import OmegaConf

from vae_exp.config.paths import CONFIG_DIR
from vae_exp.config.stored import Damaged, check_files, leaves, printable, read_config
from vae_exp.errors import ConfigError, RunError

OWN = ("vae_exp", "hydra_plugins")
FOLDERS = ("callbacks", "logger")
"""Places of several parts, each under a name of its own."""

SPECIAL = {"_target_", "_args_", "_convert_", "_recursive_"}
"""What Hydra reads in a node that it builds; `_partial_` is harmless."""

OUTSIDE = {
    # Lightning's own that take numbers and names, and write no file by themselves
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
    },
    "hydra.sweeper.sampler": {
        f"optuna.samplers.{name}Sampler"
        for name in ("BruteForce", "CmaEs", "GP", "Grid", "NSGAII", "NSGAIII", "QMC", "Random", "TPE")
    },
}

Packages = str | Iterable[str] | None


@dataclass(frozen=True)
class Trust:
    """What the caller lets a directory name beside our own parts.

    Args:
        packages: Everything that is defined in these packages or modules.
        names: These `_target_`s, such as those that the caller's own command line names.
    """

    packages: tuple[str, ...] = ()
    names: frozenset[str] = frozenset()

    def check(self, node: Any, where: str) -> None:
        """Refuse what may not be built, by its name: of what is not trusted nothing is imported.

        Args:
            node: Plain values, such as those of a stored config.
            where: The file that they stand in.

        Raises:
            RunError: A target is no part that belongs in its place, and is not trusted.
        """
        for place, part in parts(node):
            self._check_part(place, part, where)

    def _check_part(self, place: str, part: dict[str, Any], where: str) -> None:
        name = str(part.get("_target_", ""))
        if name in self.names:
            return
        if self._covers(name):
            self._check_origin(place, name, where)
            return
        if "_target_" in part and name not in allowed(place):
            raise RunError(_refusal(place, name, where))
        for key in sorted(part.keys() & SPECIAL - {"_target_"}):
            key = f"{printable(place)}.{key}={printable(part[key])}"
            raise RunError(f"{key} in {printable(where)}: is refused: no part of ours is written so")

    def _covers(self, name: str) -> bool:
        own = name.partition(".")[0] in OWN
        return not own and any(f"{name}.".startswith(f"{package}.") for package in self.packages)

    def _check_origin(self, place: str, name: str, where: str) -> None:
        """A trusted package's `os.system` is not the package's own."""
        try:
            found = get_object(name)
        except Exception as error:
            raise ConfigError(f"{place}._target_: cannot import {name!r} ({error})") from error
        origin = getattr(found, "__module__", None)
        if not callable(found) or not isinstance(origin, str) or not self._covers(origin):
            raise RunError(_refusal(place, name, where, origin if isinstance(origin, str) else "nowhere"))


def trusted(packages: Packages) -> tuple[str, ...]:
    """The packages that `trust=` names: one, several with commas, or a list.

    Raises:
        ConfigError: One is no name of a package.
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
    """Hold what a run's or a sweep's directory names against the rule, its stages and jobs too.

    Raises:
        RunError: A config names what is not trusted, or holds an interpolation; a link leads out of the directory, or a
            file is a pipe.
    """
    check_files(path)
    for file in sorted(path.rglob(".hydra/config.yaml")):
        try:
            config = read_config(file)
        except Damaged:  # whoever needs it says so; nothing is built from it
            continue
        trust.check(OmegaConf.to_container(config), str(file))


def parts(node: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every node, at any depth, in which Hydra would find what to build or how, by its key."""
    items: dict[Any, Any] = dict(enumerate(node)) if isinstance(node, list) else node if isinstance(node, dict) else {}
    if SPECIAL & items.keys():
        yield place, items
    for key, value in items.items():
        yield from parts(value, f"{place}.{key}" if place else str(key))


def targets(node: Any) -> frozenset[str]:
    """What is built of plain values."""
    return frozenset(str(part["_target_"]) for _, part in parts(node) if "_target_" in part)


def packages_of(names: frozenset[str]) -> list[str]:
    """The packages that have to be trusted for these to be built."""
    ours = frozenset().union(*packaged().values(), *OUTSIDE.values())
    return sorted({name.partition(".")[0] for name in names - ours} - set(OWN))


def allowed(place: str) -> frozenset[str]:
    """What may be built in a place."""
    top, _, rest = place.partition(".")
    if top in FOLDERS and rest and "." not in rest:
        place = top
    return packaged().get(place, frozenset()) | OUTSIDE.get(place, set())


@cache
def packaged() -> dict[str, frozenset[str]]:
    """By place, what the packaged yaml files build there."""
    found: dict[str, set[str]] = {}
    for file in sorted(CONFIG_DIR.glob("*/**/*.yaml")):
        group = ".".join(file.relative_to(CONFIG_DIR).parent.parts)
        for key, name in leaves(yaml.safe_load(file.read_text(encoding="utf-8")), group):
            place, _, last = key.rpartition(".")
            if last == "_target_":
                top = place.partition(".")[0]
                found.setdefault(top if top in FOLDERS else place, set()).add(name)
    return {place: frozenset(names) for place, names in found.items()}


def _refusal(place: str, name: str, where: str, origin: str = "") -> str:
    names = ", ".join(sorted(allowed(place)))
    package = (origin or name).partition(".")[0]
    offer = "" if package in OWN or not package.isidentifier() else f" If you trust its package: trust={package}"
    really = f", which is from {origin}" if origin else ""
    return (
        f"{printable(place)}._target_={printable(name)} in {printable(where)}{really}: is refused: a directory may "
        f"name only our own parts, each in its place. Allowed here: {names or 'none'}.{offer}"
    )
