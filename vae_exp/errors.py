"""Errors that the user can fix. The program prints their message without a traceback."""

from collections.abc import Iterable
from difflib import SequenceMatcher


class UserError(Exception):
    """A mistake outside the program. The message says what to change."""


class ConfigError(UserError):
    """A key, value or combination that the configuration does not allow."""


class DataError(UserError):
    """A data set that is missing, truncated or different from the expected one."""


class RunError(UserError):
    """A run directory or checkpoint that cannot be used."""


class InputError(UserError, ValueError):
    """Images, latents or labels that a model does not accept."""


class Diverged(UserError):
    """A loss that is not finite, or a last evaluation far worse than that of a model that has learned nothing."""


class Interrupted(BaseException):
    """SIGINT or SIGTERM; raised after everything was saved. It is a BaseException, so that it ends a sweep too.

    Args:
        signal_number: The signal that was received.
        message: How to resume.
    """

    def __init__(self, signal_number: int, message: str) -> None:
        super().__init__(message)
        self.signal_number = signal_number


def nearest_first(name: str, allowed: Iterable[str]) -> list[str]:
    """Sort the allowed names by their similarity to `name`, the most similar first."""
    return sorted(allowed, key=lambda other: -SequenceMatcher(None, name, other).ratio())


def needs_extra(choice: str, extra: str) -> str:
    """Return the message for a choice that needs packages which are not installed."""
    return f"{choice}: needs the extra {extra}: pip install 'vae_exp[{extra}]'"


def unknown_key(prefix: str, key: str, allowed: Iterable[str]) -> str:
    """Return the message for a key that does not exist; it suggests the most similar allowed key."""
    names = nearest_first(key, allowed)
    if not names:
        return f"{prefix}{key}: no such key; {prefix.rstrip('.') or 'this'} has none"
    return f"{prefix}{key}: no such key. Did you mean {prefix}{names[0]}? Allowed: {', '.join(names)}"
