"""`resume=<run dir>`, `sweep.resume=<sweep dir>`: repeat the recorded command line in the same directory."""

from collections.abc import Sequence
from pathlib import Path

from vae_exp.cli.config_dir import check_flags, flags_and_overrides, folders_of
from vae_exp.config.overrides import Override, key_of, parse_argument, parse_possible, quoted
from vae_exp.config.replay import check_replayed, targets_named_by
from vae_exp.config.trust import Trust, check_directory, trusted_packages
from vae_exp.errors import ConfigError, RunError, unknown_key
from vae_exp.results.run_directory import RunDirectory, path_hint
from vae_exp.results.sweep_directory import SweepDirectory


def resolve_resume(arguments: list[str]) -> list[str]:
    """For `resume=`, put the run's recorded overrides before the new ones and write to the run's directory.

    Args:
        arguments: The flags of the command line, then its overrides.

    Raises:
        RunError: The directory contains no run, or names parts that are not trusted.
        ConfigError: The new arguments cannot be combined with `resume=`, or Hydra cannot parse one of them.
    """
    flags, overrides = _parsed(arguments)
    path = _value(overrides, "resume")
    if path is None:
        return arguments
    if {"-m", "--multirun"} & set(flags):
        raise ConfigError("resume: goes on with one run, so without -m")
    directory = RunDirectory(path)
    if not directory.overrides.exists():
        raise RunError(f"resume={path}: is not a run directory: {directory.overrides} is missing{path_hint(path)}")
    recorded = directory.recorded_overrides()
    check_flags(arguments, directory.flags, directory.resume_command)
    trust = _trust(flags, overrides)
    check_directory(directory.path, trust)
    new = [override for override in overrides if override.key != "resume"]
    changed = {override.key for override in new}
    if "hydra.run.dir" in changed:
        raise ConfigError(f"hydra.run.dir: a resumed run stays where it is, in {path}")
    replayed = [text for text in recorded if key_of(text) not in changed | {"resume", "trust"}]
    check_replayed(replayed, trust, str(directory.overrides))
    # a new override may change or remove a key that the run added: callbacks.stop.patience=5, callbacks.stop=null
    added = {override.key for override in parse_possible(recorded) if override.adds}
    typed = [f"+{override.text}" if override.key in added and not override.sign else override.text for override in new]
    own_directory = _quoted(path)
    return [*flags, *replayed, *typed, f"resume={own_directory}", f"hydra.run.dir={own_directory}"]


def resolve_sweep(arguments: list[str]) -> list[str]:
    """For `sweep.resume=`, combine the sweep's recorded overrides with the new ones, which take precedence.

    The recorded order is kept, because it determines the job numbers. `hydra.sweep.dir=` with the directory of an
    earlier sweep does the same.

    Args:
        arguments: The flags of the command line, then its overrides.

    Raises:
        RunError: The directory contains no sweep, or names parts that are not trusted.
        ConfigError: The new arguments cannot be combined with `sweep.resume=`, or Hydra cannot parse one of them.
    """
    flags, overrides = _parsed(arguments)
    for override in overrides:
        if override.key.startswith("sweep.") and override.key != "sweep.resume":
            raise ConfigError(unknown_key("sweep.", override.key.removeprefix("sweep."), ["resume"]))
    resumed, output = _value(overrides, "sweep.resume"), _value(overrides, "hydra.sweep.dir")
    new = {override.key: override.text for override in overrides if override.key != "sweep.resume"}
    multirun = bool({"-m", "--multirun"} & set(flags))
    if resumed is None:
        if output is None or not multirun or not SweepDirectory(Path(output)).record.exists():
            return [*flags, *(override.text for override in overrides if override.key != "sweep.resume")]
    elif output is not None and Path(output) != Path(resumed):
        raise ConfigError(f"hydra.sweep.dir: a resumed sweep stays where it is, in {resumed}")
    path = Path(resumed or output or "")
    recorded = {key_of(text): text for text in SweepDirectory(path).recorded_overrides()}
    recorded.pop("trust", None)
    check_flags(arguments, SweepDirectory(path).flags, SweepDirectory(path).resume_command)
    if "hydra/launcher" in new:  # the new launcher may not have the keys of the recorded one
        recorded = {key: text for key, text in recorded.items() if not key.startswith("hydra.launcher.")}
    trust = _trust(flags, overrides)
    check_directory(path, trust)
    replayed = [text for key, text in recorded.items() if key not in {*new, "hydra.sweep.dir", "hydra.mode"}]
    check_replayed(replayed, trust, str(SweepDirectory(path).record), sweep=True)
    combined = recorded | new | {"hydra.sweep.dir": f"hydra.sweep.dir={_quoted(path)}"}
    combined.pop("hydra.mode", None)
    return [*flags, *([] if multirun else ["-m"]), *combined.values()]


def _parsed(arguments: Sequence[str]) -> tuple[list[str], list[Override]]:
    """Return the flags of the command line as they are, and its overrides."""
    flags, overrides = flags_and_overrides(arguments)
    return flags, [parse_argument(override) for override in overrides]


def _quoted(path: str | Path) -> str:
    return quoted(str(Path(path)))


def _value(overrides: Sequence[Override], key: str) -> str | None:
    """Return the last value on the command line for a key; None if the key is missing or null.

    Raises:
        ConfigError: The value is empty, e.g. `resume=$NAME` with an unset variable.
    """
    values = [override.unquoted for override in overrides if override.key == key]
    if values[-1:] == [""]:
        raise ConfigError(f"{key}=: a value is needed, and this one is empty")
    return values[-1] if values else None


def _trust(flags: Sequence[str], overrides: Sequence[Override]) -> Trust:
    """Return what the directory may name: the packages of `trust=`, and the `_target_`s on the command line itself."""
    named = targets_named_by([override.text for override in overrides], folders_of(flags))
    return Trust(trusted_packages(_value(overrides, "trust")), named)
