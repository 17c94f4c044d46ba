"""Show a mistake that Hydra or this project finds as one message: the key, and the allowed names, the nearest first."""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vae_exp.cli.config_dir import config_dir_of, search_path_override
from vae_exp.cli.surroundings import provide_home, surroundings
from vae_exp.config.lightning import unknown_key_message
from vae_exp.config.objects import CHOICE
from vae_exp.config.overrides import parse_possible, unparsable
from vae_exp.errors import Interrupted, UserError, nearest_first, needs_extra

FULL_ERROR = "HYDRA_FULL_ERROR"
EXTRAS = {"joblib": "joblib", "submitit_local": "slurm", "submitit_slurm": "slurm"}
"""The extra that installs a launcher, for launchers that are separate packages."""


@contextmanager
def readable_errors(config_dir: Path) -> Iterator[None]:
    """After an error, end the program with one message and a status ≠ 0; HYDRA_FULL_ERROR=1 shows the traceback."""
    with surroundings():
        asked_for = os.environ.get(FULL_ERROR)
        if asked_for == "1":
            provide_home()
            yield
            return
        with _explained(config_dir, asked_for):
            provide_home()
            yield


@contextmanager
def _explained(config_dir: Path, asked_for: str | None) -> Iterator[None]:
    os.environ[FULL_ERROR] = "1"  # Hydra then raises its errors instead of printing them
    try:
        yield
    except Interrupted as interruption:
        _end(str(interruption), 128 + interruption.signal_number)
    except KeyboardInterrupt:
        _end("Interrupted", 130)
    except Exception as error:
        message = explanation(error, config_dir, sys.argv[1:])
        if message is None:
            raise
        _end(f"{message}\n\n{FULL_ERROR}=1 shows where this comes from.", 1)
    finally:
        os.environ.pop(FULL_ERROR) if asked_for is None else os.environ.update({FULL_ERROR: asked_for})


def _end(message: str, status: int) -> None:
    sys.stdout.flush()
    print(message, file=sys.stderr)
    sys.exit(status)


def user_error(error: BaseException) -> UserError | None:
    """Return the error that the user can fix among an error and its causes; None if there is none."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, UserError):
        cause = cause.__cause__
    return cause


def explanation(error: BaseException, config_dir: Path, arguments: Sequence[str]) -> str | None:
    """Return the message to show, or None for a bug in the program, whose traceback should be shown.

    Args:
        error: The error.
        config_dir: The folder of the packaged configs.
        arguments: The flags and overrides of the command line.
    """
    cause = user_error(error)
    if cause is not None:
        return str(cause)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        return _unknown_choice(error.missing_cfg_file, list(error.options))
    if isinstance(error, OverrideParseException):
        return unparsable(error)
    if several := re.match(r"Ambiguous value for argument '([^=]+)=(.*)'", str(error)):
        key, values = several.groups()
        return f"{key}={values}: several values need a sweep (-m); a list is written {key}=[{values}]"
    if isinstance(error, HydraException | OmegaConfBaseException):
        if message := _about_deletion(str(error), config_dir, arguments):
            return message
        key = re.match(r"Could not override '([^'@]+)'", str(error))
        return (key and _unknown_key(key[1], config_dir, arguments)) or _text(error, arguments)
    if isinstance(error, ValueError) and "Config group override" in str(error):
        return _not_a_choice(config_dir, arguments)
    if isinstance(error, ValueError) and str(error).startswith("Only one of --run"):
        return str(error)
    if isinstance(error, ValueError) and str(error).startswith("Unable to configure"):
        return f"hydra.job_logging, hydra.hydra_logging: {error}: {error.__cause__}"
    if isinstance(error, ValueError) and (found := re.match(r"invalid literal for int\(\).*: '([^']*)'", str(error))):
        return _no_place(found[1], arguments)
    if isinstance(error, OSError):
        return f"{error.filename or 'output'}: {error.strerror} (the output goes to hydra.run.dir=…)"
    return None


def _no_place(name: str, arguments: Sequence[str]) -> str | None:
    """Return the message for `list.name=…`, where OmegaConf reads `name` as an index of the list."""
    for override in parse_possible(arguments):
        key, _, last = override.key.rpartition(".")
        if last == name:
            return f"{override.text}: {key} is a list: {key}.0=… changes its first element, {key}=[…] all of it"
    return None


def _about_deletion(message: str, config_dir: Path, arguments: Sequence[str]) -> str | None:
    """Return the message for `~key` if Hydra cannot delete the key."""
    if match := re.match(r"Error merging override ~([^=\s]+)", message):
        return f"{match[1]}: a value is needed: leave ~{match[1]} out, or give one ({match[1]}=…)"
    if match := re.match(r"Could not delete from config. '([^']+)' does not exist", message):
        unknown = _unknown_key(match[1], config_dir, arguments)
        return unknown or f"~{match[1]}: {match[1]} is null, so there is nothing to delete"
    return None


def _not_a_choice(config_dir: Path, arguments: Sequence[str]) -> str:
    """Return the message for `group=null`, `group=3` or `group=true`."""
    wrong = [
        f"{override.key}={override.value_text}: a part cannot be {override.value_text}"
        for override in parse_possible(arguments)
        if (config_dir / override.key_or_group).is_dir() and not override.deletes
        if not all(isinstance(value, str | list) for value in override.values)
    ]
    return f"{'; '.join(wrong)}; --help lists what can be chosen (logger=none for no logger)"


def _unknown_choice(file: str, options: list[str]) -> str:
    group, _, choice = file.rpartition("/")
    if group == "hydra/launcher" and choice in EXTRAS:
        return needs_extra(f"{group}={choice}", EXTRAS[choice])
    # only Python programs choose an object
    names = nearest_first(choice, [option for option in options if option != CHOICE] or options)
    return f"{group}={choice}: no such choice. Did you mean {group}={names[0]}? Allowed: {', '.join(names)}"


def _unknown_key(key: str, config_dir: Path, arguments: Sequence[str]) -> str | None:
    """Return the message for a key that is not in the config, with the names of the keys that are there."""
    if (config_dir / key).is_dir():
        if key == "experiment":
            return "experiment: is added with a plus: +experiment=…"
        return f"{key}: the chosen parts have no {key}; it belongs to others (--help lists them)"
    GlobalHydra.instance().clear()
    groups = [
        override.text
        for override in parse_possible(arguments)
        if re.fullmatch(r"[\w/]+", override.key) and re.fullmatch(r"\w+", override.value_text)
        if key not in override.text and not override.deletes
    ]
    with initialize_config_dir(str(config_dir), version_base="1.3"):
        try:
            overrides = [*groups, *search_path_override(config_dir_of(arguments))]
            config = compose("config", overrides, return_hydra_config=key.startswith("hydra."))
        except HydraException:
            config = compose("config")
    path, _, name = key.replace("/", ".").rpartition(".")
    beside = OmegaConf.select(config, path) if path else config
    if path and beside is None:
        return _unknown_key(path, config_dir, arguments)
    if not isinstance(beside, DictConfig):
        return f"{key}: no such key; {path} is a value"
    names = [str(other) for other in beside if not str(other).startswith("_")]
    return None if name in names else unknown_key_message(f"{path}." if path else "", name, names)


def _text(error: BaseException, arguments: Sequence[str]) -> str:
    cause = error.__cause__
    if isinstance(cause, OmegaConfBaseException):
        return f"{error}\n{cause}"
    if isinstance(error, OmegaConfBaseException) and error.full_key:
        return f"{error.full_key}: {str(error.msg).splitlines()[0]}"
    overrides = [text for text in arguments if "${" in text] if "interpolation" in str(error) else []
    return f"{' '.join(overrides)}: {error}" if overrides else str(error)
