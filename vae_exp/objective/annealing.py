"""Schedules of the weight of a term, over training samples."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields

from vae_exp.errors import ConfigError, unknown_key


class Annealing(ABC):
    """The share of its weight that a term has during the training, a function of the samples seen."""

    @abstractmethod
    def __call__(self, seen: int, budget: int) -> float:
        """Return the share, from 0 to 1.

        Args:
            seen: The training samples before the update.
            budget: The training samples of the whole run.
        """


@dataclass(frozen=True)
class Warmup(Annealing):
    """Rise linearly from 0 to 1 (Bowman et al. 2016, arXiv 1511.06349; Sønderby et al. 2016, arXiv 1602.02282).

    Args:
        warmup: The samples after which the share is 1.
    """

    warmup: float

    def __call__(self, seen: int, budget: int) -> float:
        """Return min(seen/warmup, 1)."""
        return min(seen / self.warmup, 1.0)


@dataclass(frozen=True)
class Cycles(Annealing):
    """Rise linearly from 0 to 1, stay there, and begin again (Fu et al. 2019, arXiv 1903.10145, eqs. 6 and 7).

    Args:
        cycles: M, the number of cycles in the budget.
        proportion: R, the part of a cycle in which the share rises.
    """

    cycles: float
    proportion: float = 0.5

    def __call__(self, seen: int, budget: int) -> float:
        """Return min(τ/R, 1), where τ is the part of its cycle that has passed."""
        passed = seen * self.cycles / budget % 1.0
        return min(passed / self.proportion, 1.0)


SCHEDULES: tuple[type[Warmup] | type[Cycles], ...] = (Warmup, Cycles)
FORMS = "a number, {warmup: samples} or {cycles: n, proportion: 0.5}; both may have final: the weight at the top"

RANGES = {
    "warmup": "a number of samples above 0",
    "cycles": "a whole number, 1 or more",
    "proportion": "a number above 0, at most 1",
    "final": "a number, 0 or more",
}


def annealed_weight(key: str, value: float | Mapping[str, float]) -> tuple[float, Annealing | None]:
    """Read a weight that may have a schedule.

    Args:
        key: Its key on the command line.
        value: A number, or the keys of a schedule and `final`, the weight where the share is 1 (by default 1).

    Returns:
        The largest weight, and the schedule of its share; None if the weight is constant.

    Raises:
        ConfigError: A key is unknown or missing, or a value is not allowed.
    """
    if not isinstance(value, Mapping):
        return value, None
    values = dict(value)
    final = values.pop("final", 1.0)
    chosen = [kind for kind in SCHEDULES if kind.__name__.lower() in values]
    allowed = [field.name for kind in chosen or SCHEDULES for field in fields(kind)]
    for name in values:
        if name not in allowed:
            raise ConfigError(unknown_key(f"{key}.", name, [*allowed, "final"]))
    if len(chosen) != 1:
        raise ConfigError(f"{key}={dict(value)}: is not allowed: {FORMS}")
    for name, number in (*values.items(), ("final", final)):
        if not _is_allowed(name, number):
            raise ConfigError(f"{key}.{name}={number}: is not allowed: {RANGES[name]}")
    return float(final), chosen[0](**values)


def _is_allowed(name: str, number: object) -> bool:
    if isinstance(number, bool) or not isinstance(number, int | float):
        return False
    if name == "cycles":
        return number >= 1 and number == int(number)
    return number >= 0 if name == "final" else 0 < number <= (1 if name == "proportion" else math.inf)
