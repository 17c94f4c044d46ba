"""The one program: `vae_exp [train]` and the other commands."""

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from vae_exp.cli.completion import asks_for_completion, complete, without_objects
from vae_exp.cli.explain import readable_errors
from vae_exp.config.paths import CONFIG_DIR
from vae_exp.errors import ConfigError, nearest_first

COMMANDS = ("train", "evaluate", "sample", "encode", "export", "touch", "report", "compare", "list")
"""Each command is a module of this name in this package."""


def main() -> None:
    """Run the command that the command line names, or `train` if it names none. This is the console script."""
    if asks_for_completion(sys.argv):
        if complete({name: _function_of(name) for name in COMMANDS}):
            with without_objects():
                _main_of("train")()
        return
    with readable_errors(CONFIG_DIR):
        command = _take_command(sys.argv)
    _main_of(command)()


def old_command(command: str) -> None:
    """Run a command by its name in version 0.1, and print its new name."""
    print(f"python -m vae_exp.{command} is now: python -m vae_exp {command}", file=sys.stderr)
    _main_of(command)()


def _take_command(words: list[str]) -> str:
    """Remove the command from the arguments of the command line and return it.

    Raises:
        ConfigError: The first argument is neither a command nor an override nor a flag.
    """
    if len(words) < 2 or "=" in words[1] or not words[1][:1].isalpha():
        return "train"
    if words[1] not in COMMANDS:
        nearest = nearest_first(words[1], COMMANDS)
        raise ConfigError(
            f"{words[1]}: no such command. Did you mean {nearest[0]}? Allowed: {', '.join(nearest)}; "
            "overrides are written key=value"
        )
    return words.pop(1)


def _function_of(command: str) -> Callable[..., Any] | None:
    """Return the function whose arguments are the keys of a command; None if it has no such keys."""
    return getattr(import_module(f"vae_exp.cli.{command}"), command, None)


def _main_of(command: str) -> Callable[[], None]:
    main: Callable[[], None] = import_module(f"vae_exp.cli.{command}").main
    return main
