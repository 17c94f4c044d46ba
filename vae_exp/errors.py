"""What can go wrong in a way that the user can mend: one message, no traceback."""

from collections.abc import Iterable
from difflib import SequenceMatcher


class UserError(Exception):
    """A mistake outside the program; its message says what to change."""


class ConfigError(UserError):
    """A key, value or combination that the configuration does not allow."""


class DataError(UserError):
    """A data set that is missing, cut short or not what it should be."""


class RunError(UserError):
    """A run directory or checkpoint that cannot be used."""


class InputError(UserError, ValueError):
    """Images, latents or labels that a model does not take."""


class Diverged(UserError):
    """The loss is no longer finite, or the last evaluation is absurd."""


class Interrupted(BaseException):
    """SIGINT or SIGTERM, after everything was saved. A BaseException, so that a sweep ends with it too.

    Args:
        signal_number: The signal that asked for it.
        message: How to go on.
    """

    def __init__(self, signal_number: int, message: str) -> None:
        super().__init__(message)
        self.signal_number = signal_number


def nearest_first(name: str, allowed: Iterable[str]) -> list[str]:
    """`allowed`, the names most like `name` first."""
    return sorted(allowed, key=lambda other: -SequenceMatcher(None, name, other).ratio())


def needs_extra(choice: str, extra: str) -> str:
    """The message for a choice whose packages are not installed."""
    return f"{choice}: needs the extra {extra}: pip install 'vae_exp[{extra}]'"


def unknown_key(prefix: str, key: str, allowed: Iterable[str]) -> str:
    """The message for a key that does not exist: the nearest name first."""
    names = nearest_first(key, allowed)
    if not names:
        return f"{prefix}{key}: no such key; {prefix.rstrip('.') or 'this'} has none"
    return f"{prefix}{key}: no such key. Did you mean {prefix}{names[0]}? Allowed: {', '.join(names)}"
