"""A function as a command: arguments as Hydra writes them, key=value, held against its annotations."""

import sys
from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any, get_args

from omegaconf import OmegaConf
from yaml import YAMLError

from vae_exp.__main__ import CONFIG_DIR
from vae_exp.config.trust import Trust, trusted
from vae_exp.errors import ConfigError
from vae_exp.explain import readable_errors
from vae_exp.schema import check


def directory_argument(usage: str) -> tuple[Path, Trust]:
    """The one argument of a command that reads a directory, and what is trusted in that.

    Raises:
        ConfigError: `trust=` names no package.
    """
    given = [word for word in sys.argv[1:] if not word.startswith("trust=")]
    if len(given) != 1 or given[0] in ("-h", "--help"):
        print(usage)
        sys.exit(len(given) != 1)
    packages = [word.removeprefix("trust=") for word in sys.argv[1:] if word.startswith("trust=")]
    return Path(given[0]), Trust(tuple(name for some in packages for name in trusted(some)))


def run_as_command(function: Callable[..., Any], usage: str, show: Callable[[Any], None] = print) -> None:
    """Call a function with the arguments of the command line and show what it returns.

    Args:
        function: Its annotations say what is allowed.
        usage: The help text.
        show: How.
    """
    with readable_errors(CONFIG_DIR):
        if {"-h", "--help"} & set(sys.argv[1:]):
            print(usage)
            return
        for word in sys.argv[1:]:
            if "=" not in word:
                raise ConfigError(f"{word}: arguments are written key=value")
        try:
            arguments = OmegaConf.from_dotlist(sys.argv[1:])
        except YAMLError as error:
            raise ConfigError(f"arguments are written key=value: {error}") from error
        parameters = signature(function).parameters
        for key, _, text in (word.partition("=") for word in sys.argv[1:]):
            if key in parameters and str in (parameters[key].annotation, *get_args(parameters[key].annotation)):
                arguments[key] = text  # a directory may be called 0
        check(arguments, function)
        show(function(**{str(key): value for key, value in arguments.items()}))
