"""The words of a command that a program passes as texts, and its errors as exceptions."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException

from vae_exp.cli.config_dir import flags_first
from vae_exp.cli.explain import explanation, user_error
from vae_exp.config.overrides import key_of, quoted
from vae_exp.config.paths import CONFIG_DIR
from vae_exp.errors import ConfigError, RunError

FLAG = "--config-dir"
"""The only flag that a program may pass: the others are about the command itself."""


def checked_words(overrides: Sequence[Any], call: str) -> list[str]:
    """Check that overrides are texts, one word of a command each, and return them with the flags first.

    Args:
        overrides: The overrides.
        call: What is called, for messages.

    Raises:
        ConfigError: One is no override.
    """
    for i, word in enumerate(overrides):
        if not isinstance(word, str):
            raise ConfigError(f'{call}: {word!r} is no text. Overrides are texts: {call}("seed=3", "samples=1000")')
        is_folder = i > 0 and overrides[i - 1] == FLAG
        if word.startswith("-") and word.partition("=")[0] != FLAG:
            raise ConfigError(f"{word}: is a flag of the command. A program may pass only {FLAG}=<folder>")
        if not word.startswith("-") and not is_folder and "=" not in word and not word.startswith("~"):
            raise ConfigError(f"{word}: overrides are written key=value")
        if key_of(word) == "hydra.mode":
            raise ConfigError(f"{word}: vae_exp.train runs one job, and vae_exp.sweep several. Leave it out")
    if overrides and overrides[-1] == FLAG:
        raise ConfigError(f"{FLAG}: a value is needed: {FLAG}=<folder>")
    return flags_first(overrides)


def with_directory(words: Sequence[str], directory: Any, key: str) -> list[str]:
    """Add the directory of the output to the words of a command.

    Args:
        words: The words.
        directory: The directory; None to add nothing.
        key: Its key: `hydra.run.dir` or `hydra.sweep.dir`.

    Raises:
        ConfigError: The words name a directory already, or continue a run or sweep, which stays in its own.
    """
    if directory is None:
        return list(words)
    others = {key, "resume", "sweep.resume"} & {key_of(word) for word in words}
    if others:
        raise ConfigError(f"directory={directory}: contradicts {', '.join(sorted(others))}. Leave one of them out")
    return [*words, f"{key}={quoted(str(Path(directory)))}"]


@contextmanager
def errors_as_exceptions(words: Sequence[str]) -> Iterator[None]:
    """Raise every error that the user can fix as one of `vae_exp.errors`, with the message that the command prints.

    Args:
        words: The flags and overrides.

    Raises:
        UserError: There was such an error. Any other exception is a bug, and is left as it is.
    """
    try:
        yield
    except Exception as error:
        known = user_error(error)
        if known is error:
            raise
        if known is not None:
            raise known from error
        message = explanation(error, CONFIG_DIR, words)
        if message is None:
            raise
        of_a_file = isinstance(error, OSError) and not isinstance(error, HydraException)
        raise (RunError if of_a_file else ConfigError)(message) from error


@contextmanager
def hydra_application() -> Iterator[Any]:
    """Yield Hydra with the packaged configs, as the command has it. Its `run` and `multirun` do what a command does."""
    with initialize_config_dir(str(CONFIG_DIR), job_name="vae_exp", version_base="1.3"):
        yield GlobalHydra.instance().hydra
