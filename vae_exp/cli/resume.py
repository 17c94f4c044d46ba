"""`resume=<run dir>`, `sweep.resume=<sweep dir>`: repeat the recorded command line in the same directory."""

from pathlib import Path

from vae_exp.cli.config_dir import check_flags
from vae_exp.config.overrides import key_of
from vae_exp.config.replay import check_words, named_by
from vae_exp.config.trust import Trust, check_directory, trusted
from vae_exp.errors import ConfigError, RunError, unknown_key
from vae_exp.results.run_directory import RunDirectory, hint
from vae_exp.results.sweep_directory import SweepDirectory

CONFIG_DIR_FLAGS = ("--config-dir", "-cd", "--config-path", "-cp")


def resolve_resume(arguments: list[str]) -> list[str]:
    """For `resume=`, put the run's recorded overrides before the new ones and write to the run's directory.

    Raises:
        RunError: The directory contains no run, or names parts that are not trusted.
        ConfigError: The new arguments cannot be combined with `resume=`.
    """
    path = _value(arguments, "resume")
    if path is None:
        return arguments
    if {"-m", "--multirun"} & set(arguments):
        raise ConfigError("resume: goes on with one run, so without -m")
    directory = RunDirectory(path)
    if not directory.overrides.exists():
        raise RunError(f"resume={path}: is not a run directory: {directory.overrides} is missing{hint(path)}")
    recorded = directory.words()
    check_flags(arguments, directory.flags, directory.go_on)
    trust = _trust(arguments)
    check_directory(directory.path, trust)
    new = [argument for argument in arguments if key_of(argument) != "resume"]
    # Hydra's parser requires its flags, with their values, before the overrides
    first_flag = next((i for i, argument in enumerate(new) if argument.startswith("-")), len(new))
    changed = {key_of(argument) for argument in new}
    if "hydra.run.dir" in changed:
        raise ConfigError(f"hydra.run.dir: a resumed run stays where it is, in {path}")
    replayed = [word for word in recorded if key_of(word) not in changed | {"resume", "trust"}]
    check_words(replayed, trust, str(directory.overrides))
    # a new override may change or remove a key that the run added: callbacks.stop.patience=5, callbacks.stop=null
    added = {key_of(word) for word in recorded if word.startswith("+")}
    new = [f"+{word}" if key_of(word) in added and not word.startswith(("+", "~")) else word for word in new]
    own_directory = [f"resume={quoted(path)}", f"hydra.run.dir={quoted(path)}"]
    return [*new[first_flag:], *replayed, *new[:first_flag], *own_directory]


def resolve_sweep(arguments: list[str]) -> list[str]:
    """For `sweep.resume=`, combine the sweep's recorded overrides with the new ones, which take precedence.

    The recorded order is kept, because it determines the job numbers. `hydra.sweep.dir=` with the directory of an
    earlier sweep does the same.

    Raises:
        RunError: The directory contains no sweep, or names parts that are not trusted.
        ConfigError: The new arguments cannot be combined with `sweep.resume=`.
    """
    for key in map(key_of, arguments):
        if key.startswith("sweep.") and key != "sweep.resume":
            raise ConfigError(unknown_key("sweep.", key.removeprefix("sweep."), ["resume"]))
    resumed, output = _value(arguments, "sweep.resume"), _value(arguments, "hydra.sweep.dir")
    arguments = [argument for argument in arguments if key_of(argument) != "sweep.resume"]
    multirun = bool({"-m", "--multirun"} & set(arguments))
    if resumed is None:
        if output is None or not multirun or not SweepDirectory(Path(output)).record.exists():
            return arguments
    elif output is not None and Path(output) != Path(resumed):
        raise ConfigError(f"hydra.sweep.dir: a resumed sweep stays where it is, in {resumed}")
    path = Path(resumed or output or "")
    recorded = {key_of(word): word for word in SweepDirectory(path).words()}
    recorded.pop("trust", None)
    check_flags(arguments, SweepDirectory(path).flags, SweepDirectory(path).go_on)
    flags = [argument for argument in arguments if argument.startswith("-") or "=" not in argument.lstrip("~")]
    new = {key_of(argument): argument for argument in arguments if argument not in flags}
    if "hydra/launcher" in new:  # the new launcher may not have the keys of the recorded one
        recorded = {key: word for key, word in recorded.items() if not key.startswith("hydra.launcher.")}
    trust = _trust(arguments)
    check_directory(path, trust)
    replayed = [word for key, word in recorded.items() if key not in {*new, "hydra.sweep.dir", "hydra.mode"}]
    check_words(replayed, trust, str(SweepDirectory(path).record), sweep=True)
    words = recorded | new | {"hydra.sweep.dir": f"hydra.sweep.dir={quoted(path)}"}
    words.pop("hydra.mode", None)
    return [*flags, *([] if multirun else ["-m"]), *words.values()]


def quoted(path: str | Path) -> str:
    """Quote a path as the value of an override."""
    escaped = str(Path(path)).replace("'", "\\'")
    return f"'{escaped}'"


def _value(arguments: list[str], key: str) -> str | None:
    """Return the last value on the command line for a key; None if the key is missing or null.

    Raises:
        ConfigError: The value is empty, e.g. `resume=$NAME` with an unset variable.
    """
    overrides = [argument for argument in arguments if key_of(argument) == key]
    value = overrides[-1].partition("=")[2] if overrides else "null"
    quote = value[:1]
    if len(value) > 1 and quote in ("'", '"') and value.endswith(quote):
        value = value[1:-1]
    if not value:
        raise ConfigError(f"{key}=: a value is needed, and this one is empty")
    return value if value != "null" else None


def _trust(arguments: list[str]) -> Trust:
    """Return what the directory may name: the packages of `trust=`, and the `_target_`s on the command line itself."""
    words = [word.partition("=")[::2] for word in arguments]
    pairs = zip(words, [*arguments[1:], ""], strict=False)
    folders = [Path(value or after) for (flag, value), after in pairs if flag in CONFIG_DIR_FLAGS]
    return Trust(trusted(_value(arguments, "trust")), named_by(arguments, folders))
