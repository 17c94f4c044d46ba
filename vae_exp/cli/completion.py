"""Complete commands and their keys and values when TAB is pressed. Hydra completes the overrides of `train`."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from glob import escape, glob
from inspect import signature
from io import StringIO
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from vae_exp.config.objects import ARGUMENTS, CHOICE

LINE = "COMP_LINE"
"""The variable with the command line, which the shell sets when it asks for completions."""

Functions = Mapping[str, Callable[..., Any] | None]
"""The function of each command, whose arguments are its keys; None for a command without keys."""


def asks_for_completion(words: list[str]) -> bool:
    """Tell whether a shell asks for completions (`-sc query=bash`), as Hydra's scripts for bash, zsh and fish do."""
    return "-sc" in words and LINE in os.environ and any(word.startswith("query=") for word in words)


def complete(functions: Functions) -> bool:
    """Print what the last word of the command line may become. Return whether Hydra's completions come too."""
    line = os.environ[LINE]
    *before, word = [*line.split()[1:], *([""] if line[-1:].isspace() else [])] or [""]
    if not before:
        print("\n".join(name for name in functions if word and name.startswith(word)))
        return True
    if before[0] == "train":
        os.environ[LINE] = line.replace(" train", "", 1)  # Hydra knows no commands
        return True
    if before[0] not in functions:
        return True
    print("\n".join(words_of(functions[before[0]], word)))
    return False


@contextmanager
def without_objects() -> Iterator[None]:
    """Leave out of Hydra's completions the choices that only a Python program can make, such as `network=object`."""
    hidden = "|".join(f"{place.partition('.')[0]}={CHOICE}" for place in ARGUMENTS)
    answer = StringIO()
    try:
        with redirect_stdout(answer):
            yield
    finally:
        # bash and zsh get words in one line, fish gets a line per word
        print(re.sub(rf"(^|\s)({hidden})(?=\s|$)", "", answer.getvalue()).strip())


def words_of(function: Callable[..., Any] | None, word: str) -> list[str]:
    """Complete a key, the value of a key, or a path if the command takes paths without a key."""
    if function is None:
        return _paths(word)
    parameters = signature(function).parameters
    key, equals, value = word.partition("=")
    if not equals:
        keys = [name for name, parameter in parameters.items() if parameter.annotation != list[str]]
        return [f"{name}=" for name in keys if name.startswith(word)] + (_paths(word) if keys != [*parameters] else [])
    if key not in parameters:
        return []
    annotation = parameters[key].annotation
    kinds = [kind for kind in (annotation, *get_args(annotation)) if get_origin(kind) is Literal]
    choices = [str(choice) for kind in kinds for choice in get_args(kind)]
    takes_path = str in (annotation, *get_args(annotation)) and key != "trust"
    found = _paths(value) if takes_path else [choice for choice in choices if choice.startswith(value)]
    return [f"{key}={choice}" for choice in found]


def _paths(start: str) -> list[str]:
    found = glob(f"{escape(start)}*")  # noqa: PTH207 (what was typed stays as it is: ./a, not a)
    return sorted(f"{path}/" if Path(path).is_dir() else path for path in found)
