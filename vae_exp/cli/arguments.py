"""Run a function as a command. Arguments are written key=value, as in Hydra, and checked against its annotations."""

import sys
from collections.abc import Callable, Iterable
from inspect import signature
from pathlib import Path
from typing import Any, get_args

from omegaconf import OmegaConf
from yaml import YAMLError

from vae_exp.cli.explain import readable_errors
from vae_exp.config.paths import CONFIG_DIR
from vae_exp.config.schema import check_node
from vae_exp.config.trust import Trust, trusted_packages
from vae_exp.errors import ConfigError


def directory_argument(usage: str) -> tuple[Path, Trust]:
    """Parse the arguments of a command that reads a directory: the directory, and what `trust=` allows it to name.

    Raises:
        ConfigError: `trust=` does not name a package.
    """
    others = [word for word in sys.argv[1:] if not word.startswith("trust=")]
    if len(others) != 1 or others[0] in ("-h", "--help"):
        print(usage)
        sys.exit(len(others) != 1)
    values = [word.removeprefix("trust=") for word in sys.argv[1:] if word.startswith("trust=")]
    return Path(others[0]), Trust(tuple(package for value in values for package in trusted_packages(value)))


def run_as_command(
    function: Callable[..., Any], usage: str, show: Callable[[Any], None] = print, paths: str | None = None
) -> None:
    """Call a function with the arguments of the command line and show the result.

    Args:
        function: The function. Its annotations define the allowed values.
        usage: The help text.
        show: Shows the result.
        paths: The parameter that takes the arguments that are not key=value: paths and globs.
    """
    with readable_errors(CONFIG_DIR):
        words = sys.argv[1:]
        if {"-h", "--help"} & set(words):
            print(usage)
            return
        parameters = signature(function).parameters
        named = [word for word in words if paths and _is_path(word, list(parameters))]
        words = [word for word in words if word not in named]
        for word in words:
            if "=" not in word:
                raise ConfigError(f"{word}: arguments are written key=value")
        try:
            arguments = OmegaConf.from_dotlist(words)
        except YAMLError as error:
            raise ConfigError(f"arguments are written key=value: {error}") from error
        if paths and named:
            arguments[paths] = named
        for key, _, text in (word.partition("=") for word in words):
            if key in parameters and str in (parameters[key].annotation, *get_args(parameters[key].annotation)):
                arguments[key] = text  # a directory may be called 0, which must stay a text
        check_node(arguments, function)
        show(function(**{str(key): value for key, value in arguments.items()}))


def expanded(words: Iterable[str]) -> list[Path]:
    """Return the paths that the words name. A word that is no path is a glob, such as `outputs/mnist_vae/*`.

    A glob without a match stays a path, for the message about a path that does not exist.
    """
    return [path for word in words for path in matches(word) or [Path(word)]]


def matches(word: str) -> list[Path]:
    """Return the path that a word names if it exists, or the paths that match it as a glob, sorted."""
    path = Path(word)
    if path.exists() or not word:
        return [path]
    pattern = path.relative_to(path.anchor)
    return sorted(Path(path.anchor).glob(str(pattern)))


def _is_path(word: str, keys: list[str]) -> bool:
    """Tell whether a word is a path or a glob and not key=value. A folder may be called lr=0.1."""
    key, equals, _ = word.partition("=")
    return not equals or (key not in keys and bool(matches(word)))
