"""`resume=<run dir>`, `sweep.resume=<sweep dir>`: its command line again, in its own directory."""

from pathlib import Path

from vae_exp.cli.config_dir import check_flags
from vae_exp.config.replay import check_words, named_by
from vae_exp.config.trust import Trust, check_directory, trusted
from vae_exp.errors import ConfigError, RunError, unknown_key
from vae_exp.run_directory import RunDirectory, hint
from vae_exp.sweep_directory import SweepDirectory

CONFIG_DIR_FLAGS = ("--config-dir", "-cd", "--config-path", "-cp")


def resolve_resume(arguments: list[str]) -> list[str]:
    """Put the run's own overrides before what was typed, and its directory where the output goes.

    Raises:
        RunError: There is no run in that directory, or it names what is not trusted.
        ConfigError: What was typed cannot go with it.
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
    typed = [argument for argument in arguments if key_of(argument) != "resume"]
    # Hydra's parser wants its flags, and what belongs to them, before the overrides
    first = next((i for i, argument in enumerate(typed) if argument.startswith("-")), len(typed))
    changed = {key_of(argument) for argument in typed}
    if "hydra.run.dir" in changed:
        raise ConfigError(f"hydra.run.dir: a resumed run stays where it is, in {path}")
    began = [word for word in recorded if key_of(word) not in changed | {"resume", "trust"}]
    check_words(began, trust, str(directory.overrides))
    # what is typed now may change or take out what was added then: callbacks.stop.patience=5, callbacks.stop=null
    added = {key_of(word) for word in recorded if word.startswith("+")}
    typed = [f"+{word}" if key_of(word) in added and not word.startswith(("+", "~")) else word for word in typed]
    return [*typed[first:], *began, *typed[:first], f"resume={quoted(path)}", f"hydra.run.dir={quoted(path)}"]


def resolve_sweep(arguments: list[str]) -> list[str]:
    """Put what was typed over the sweep's own overrides, in their order, which numbers the jobs.

    Naming the directory of an earlier sweep again is the same.

    Raises:
        RunError: There is no sweep in that directory, or it names what is not trusted.
        ConfigError: What was typed cannot go with it.
    """
    for key in map(key_of, arguments):
        if key.startswith("sweep.") and key != "sweep.resume":
            raise ConfigError(unknown_key("sweep.", key.removeprefix("sweep."), ["resume"]))
    asked, named = _value(arguments, "sweep.resume"), _value(arguments, "hydra.sweep.dir")
    arguments = [argument for argument in arguments if key_of(argument) != "sweep.resume"]
    multirun = bool({"-m", "--multirun"} & set(arguments))
    if asked is None:
        if named is None or not multirun or not SweepDirectory(Path(named)).record.exists():
            return arguments
    elif named is not None and Path(named) != Path(asked):
        raise ConfigError(f"hydra.sweep.dir: a resumed sweep stays where it is, in {asked}")
    path = Path(asked or named or "")
    own = {key_of(word): word for word in SweepDirectory(path).words()}
    own.pop("trust", None)
    check_flags(arguments, SweepDirectory(path).flags, SweepDirectory(path).go_on)
    flags = [argument for argument in arguments if argument.startswith("-") or "=" not in argument.lstrip("~")]
    typed = {key_of(argument): argument for argument in arguments if argument not in flags}
    if "hydra/launcher" in typed:  # another may not have the keys of the first
        own = {key: word for key, word in own.items() if not key.startswith("hydra.launcher.")}
    trust = _trust(arguments)
    check_directory(path, trust)
    replayed = [word for key, word in own.items() if key not in {*typed, "hydra.sweep.dir", "hydra.mode"}]
    check_words(replayed, trust, str(SweepDirectory(path).record), sweep=True)
    words = own | typed | {"hydra.sweep.dir": f"hydra.sweep.dir={quoted(path)}"}
    words.pop("hydra.mode", None)
    return [*flags, *([] if multirun else ["-m"]), *words.values()]


def quoted(path: str | Path) -> str:
    """A path as the value of an override."""
    escaped = str(Path(path)).replace("'", "\\'")
    return f"'{escaped}'"


def _value(arguments: list[str], key: str) -> str | None:
    """What was typed last for a key; None where nothing was, or null.

    Raises:
        ConfigError: It is empty, as `resume=$NAME` is where no such variable is set.
    """
    typed = [argument for argument in arguments if key_of(argument) == key]
    value = typed[-1].partition("=")[2] if typed else "null"
    quote = value[:1]
    if len(value) > 1 and quote in ("'", '"') and value.endswith(quote):
        value = value[1:-1]
    if not value:
        raise ConfigError(f"{key}=: a value is needed, and this one is empty")
    return value if value != "null" else None


def _trust(arguments: list[str]) -> Trust:
    """What the command line lets the directory name: what `trust=` says, and what it names itself."""
    words = [word.partition("=")[::2] for word in arguments]
    pairs = zip(words, [*arguments[1:], ""], strict=False)
    folders = [Path(value or after) for (flag, value), after in pairs if flag in CONFIG_DIR_FLAGS]
    return Trust(trusted(_value(arguments, "trust")), named_by(arguments, folders))


def key_of(override: str) -> str:
    """The key that an override changes."""
    return override.split("=")[0].lstrip("+~")
