"""`resume=<run dir>`: the command line of that run again, in its own directory."""

from pathlib import Path

from omegaconf import OmegaConf

from vae_exp.errors import ConfigError, RunError
from vae_exp.run_directory import RunDirectory


def resolve_resume(arguments: list[str]) -> list[str]:
    """Put the run's own overrides before what was typed, and its directory where the output goes.

    Raises:
        RunError: There is no run in that directory.
        ConfigError: What was typed cannot go with it.
    """
    asked = [argument for argument in arguments if key_of(argument) == "resume"]
    path = asked[-1].partition("=")[2].strip("'\"") if asked else "null"
    if path in ("null", ""):
        return arguments
    if {"-m", "--multirun"} & set(arguments):
        raise ConfigError("resume: goes on with one run, so without -m")
    overrides = RunDirectory(path).overrides
    if not overrides.exists():
        raise RunError(f"resume={path}: is not a run directory: {overrides} is missing")
    typed = [argument for argument in arguments if argument not in asked]
    # Hydra's parser wants its flags, and what belongs to them, before the overrides
    first = next((i for i, argument in enumerate(typed) if argument.startswith("-")), len(typed))
    typed = [*typed[first:], *typed[:first]]
    changed = {key_of(argument) for argument in typed}
    if "hydra.run.dir" in changed:
        raise ConfigError(f"hydra.run.dir: a resumed run stays where it is, in {path}")
    began = [word for word in map(str, OmegaConf.load(overrides)) if key_of(word) not in changed | {"resume"}]
    quoted = str(Path(path)).replace("'", "\\'")
    return [*typed, *began, f"resume='{quoted}'", f"hydra.run.dir='{quoted}'"]


def key_of(override: str) -> str:
    """The key that an override changes."""
    return override.split("=")[0].lstrip("+~")
