"""`vae_exp.sweep`: what the command does with -m, called from Python."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig

from vae_exp.api.interruption import Interruption, what_happened
from vae_exp.api.process import unchanged_process
from vae_exp.api.train import load_resumable
from vae_exp.api.words import checked_words, errors_as_exceptions, hydra_application, with_directory
from vae_exp.cli.config_dir import config_dir_of, overrides_of
from vae_exp.cli.resume import resolve_resume, resolve_sweep
from vae_exp.cli.train import train_job
from vae_exp.config.overrides import parse_possible, value_text
from vae_exp.config.replay import targets_named_by
from vae_exp.config.trust import Trust, trusted_packages
from vae_exp.errors import ConfigError, Interrupted
from vae_exp.results.jobs import job_directories
from vae_exp.results.swept import Sweep


def sweep(overrides: Sequence[str] = (), *, directory: str | Path | None = None, **lists: Iterable[Any]) -> Sweep:
    """Run one job for every combination of values, as the command does with `-m`, and return the sweep.

    The jobs run where the launcher starts them (`"hydra/launcher=ray"`), and the sweep directory is that of the
    command. The process stays as it was, as with `vae_exp.train`.

    Args:
        overrides: The words of the command, such as `["+experiment=mnist_vae", "samples=20000"]`.
        directory: The sweep directory. The default is that of the command, in `multirun/`.
        lists: The values of each key that varies: `seed=range(3)`, `**{"architecture.latent_dim": [2, 5, 20]}`.

    Returns:
        The sweep.

    Raises:
        UserError: What the command refuses with one message, also if jobs failed; an error of `vae_exp.errors`.
        KeyboardInterrupt: Ctrl-C, or a notebook's interrupt. The sweep so far is saved, and is the `result` of the
            error (`vae_exp.api.interruption.Interruption`). The message says how to continue it.
    """
    typed = [overrides] if isinstance(overrides, str) else list(overrides)
    typed += [f"{key}={_values(key, values)}" for key, values in lists.items()]
    interruption = None
    with unchanged_process(), errors_as_exceptions(typed):
        checked = checked_words(typed, "sweep")
        words = resolve_resume(resolve_sweep(["-m", *with_directory(checked, directory, "hydra.sweep.dir")]))
        try:
            with hydra_application() as hydra:
                hydra.multirun("config", train_job, [*overrides_of(words), "hydra.mode=MULTIRUN"])
        except Interrupted as error:
            interruption = error
        path = _directory()
        trust = _trust(checked)
    begun = path is not None and bool(job_directories(path))
    if interruption is not None:
        message = what_happened(interruption, f'vae_exp.sweep(["sweep.resume={path}"])' if begun else None)
        result = Sweep(path, trust, load_resumable) if path is not None and begun else None
        raise Interruption(message, path, result) from interruption
    assert path is not None
    return Sweep(path, trust, load_resumable)


def _values(key: str, values: Any) -> str:
    """Write the values of a key as an override of a sweep.

    Raises:
        ConfigError: They are no list.
    """
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise ConfigError(f"{key}={values!r}: a list of values is needed: {key}=[{values!r}]")
    texts = [value_text(value) for value in values]
    if not texts:
        raise ConfigError(f"{key}: has no value, so there is no job")
    return ",".join(texts)


def _directory() -> Path | None:
    """Return the directory of the sweep that has just ended; None if it did not begin."""
    config: Any = HydraConfig.instance().cfg
    return None if config is None else Path(config.hydra.sweep.dir).absolute()


def _trust(words: Sequence[str]) -> Trust:
    """Return what the jobs' configs may name: what the caller's own words name."""
    packages = [str(override.value) for override in parse_possible(words) if override.key == "trust"]
    folder = config_dir_of(words)
    names = targets_named_by(list(words), [] if folder is None else [folder])
    return Trust(tuple(name for text in packages for name in trusted_packages(text)), names)
