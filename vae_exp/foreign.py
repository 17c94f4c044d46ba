"""Parts from outside this package, such as the user's own network. `docs/own_parts.md` says what they must provide."""

from collections.abc import Iterator
from contextlib import contextmanager

from vae_exp.errors import ConfigError, UserError

OURS = "vae_exp"
DOCS = "docs/own_parts.md"


class PartError(ConfigError):
    """A part from outside this package that raises an exception, or does not keep its contract."""


def is_foreign(part: object) -> bool:
    """Tell whether the class of a part is defined outside this package."""
    return is_foreign_name(type(part).__module__)


def is_foreign_name(name: str) -> bool:
    """Tell whether a dotted name, such as a `_target_`, lies outside this package."""
    return name.partition(".")[0] != OURS


def require(holds: bool, key: str, complaint: str) -> None:
    """Refuse a part that does not keep its contract.

    Args:
        holds: Whether it keeps this clause of its contract.
        key: The part's key on the command line.
        complaint: What is needed, and what the part does instead.

    Raises:
        PartError: It does not.
    """
    if not holds:
        raise PartError(f"{key}: {complaint} ({DOCS})")


def failure(key: str, error: BaseException) -> PartError:
    """Return the error for a part that has raised an exception. Raise it `from` the exception, to keep the traceback.

    Args:
        key: The part's key on the command line.
        error: The exception.
    """
    text = " ".join(str(error).split())
    return PartError(f"{key}: {type(error).__name__}{f': {text}' if text else ''} ({DOCS})")


@contextmanager
def reported(key: str) -> Iterator[None]:
    """Turn an exception into one message with the part's key.

    Args:
        key: The part's key on the command line.

    Raises:
        PartError: There was an exception. A `UserError` has a message for users already and stays as it is.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise failure(key, error) from error
