"""`resume=<run dir>`: the command line of that run again, in its own directory."""

from pathlib import Path

from omegaconf import OmegaConf

from vae_exp.errors import ConfigError, RunError
from vae_exp.run_directory import RunDirectory


def resolve_resume(arguments: list[str]) -> list[str]:
    """Put the run's own overrides before what was typed, and its directory where the output goes.

    Raises:
        RunError: There is no run in that directory.
        ConfigError: A sweep was asked to resume one run.
    """
    asked = [argument for argument in arguments if argument.startswith("resume=")]
    path = asked[-1].removeprefix("resume=").strip("'\"") if asked else "null"
    if path in ("null", ""):
        _refuse_to_write_over_a_run(arguments)
        return arguments
    if {"-m", "--multirun"} & set(arguments):
        raise ConfigError("resume: goes on with one run, so without -m")
    overrides = Path(path) / ".hydra" / "overrides.yaml"
    if not overrides.exists():
        raise RunError(f"resume={path}: is not a run directory: {overrides} is missing")
    typed = [argument for argument in arguments if argument not in asked]
    changed = {_key(argument) for argument in typed}
    began = [word for word in map(str, OmegaConf.load(overrides)) if _key(word) not in changed | {"resume"}]
    quoted = str(path).replace("'", "\\'")
    # Hydra would write this command line over the record of how the run began
    return [*began, *typed, f"resume='{quoted}'", f"hydra.run.dir='{quoted}'", "hydra.output_subdir=null"]


def _refuse_to_write_over_a_run(arguments: list[str]) -> None:
    """Hydra writes its record before the run begins, so a run that lies there already has to be seen before that."""
    for argument in arguments:
        if _key(argument) == "hydra.run.dir":
            RunDirectory(argument.partition("=")[2].strip("'\"")).refuse_if_begun()


def _key(override: str) -> str:
    return override.split("=")[0].lstrip("+~")
