"""`vae_exp.sweep`: what the command does with -m, called from Python."""

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig

from vae_exp.api.interruption import Interruption, what_happened
from vae_exp.api.objects import choices_of, objects_of
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
from vae_exp.likelihood import Likelihood
from vae_exp.network import Network
from vae_exp.results.jobs import job_directories
from vae_exp.results.swept import Sweep

KINDS = ("network", "likelihood")
"""The groups of which one object can serve all jobs."""


def sweep(
    overrides: Sequence[str] = (), *, data: Any = None, directory: str | Path | None = None, **lists: Any
) -> Sweep:
    """Run one job for every combination of values, as the command does with `-m`, and return the sweep.

    The jobs run where the launcher starts them (`"hydra/launcher=ray"`), and the sweep directory is that of the
    command. The process stays as it was, as with `vae_exp.train`.

    Args:
        overrides: The words of the command, such as `["+experiment=mnist_vae", "samples=20000"]`.
        data: Images in place of `dataset` for all jobs, as for `vae_exp.train`.
        directory: The sweep directory. The default is that of the command, in `multirun/`.
        lists: The values of each key that varies: `seed=range(3)`, `**{"architecture.latent_dim": [2, 5, 20]}`.
            `network` and `likelihood` may instead be an object that all jobs use a copy of. Objects need the default
            launcher, which runs the jobs in this process.

    Returns:
        The sweep.

    Raises:
        UserError: What the command refuses with one message, also if jobs failed; an error of `vae_exp.errors`.
        KeyboardInterrupt: Ctrl-C, or a notebook's interrupt. The sweep so far is saved, and is the `result` of the
            error (`vae_exp.api.interruption.Interruption`). The message says how to continue it.
    """
    parts = {name: part for name, part in lists.items() if isinstance(part, Network | Likelihood)}
    objects = objects_of(data, **_allowed(parts))
    lists = {key: values for key, values in lists.items() if key not in parts}
    typed = [overrides] if isinstance(overrides, str) else list(overrides)
    typed += [f"{key}={_values(key, values)}" for key, values in lists.items()]
    interruption = None
    with unchanged_process(), errors_as_exceptions(typed):
        checked = checked_words(typed, "sweep")
        words = resolve_resume(resolve_sweep(["-m", *with_directory(checked, directory, "hydra.sweep.dir")]))
        if objects:
            _check_launcher(words)
        job = partial(train_job, objects=objects) if objects else train_job
        try:
            with hydra_application() as hydra:
                chosen = [*choices_of(objects, words), *overrides_of(words)]
                hydra.multirun("config", job, [*chosen, "hydra.mode=MULTIRUN"])
        except Interrupted as error:
            interruption = error
        path = _directory()
        load = partial(load_resumable, checkpoint="last", trust=_trust(checked), objects=objects)
    begun = path is not None and bool(job_directories(path))
    if interruption is not None:
        message = what_happened(interruption, f'vae_exp.sweep(["sweep.resume={path}"])' if begun else None)
        result = Sweep(path, load) if path is not None and begun else None
        raise Interruption(message, path, result) from interruption
    assert path is not None
    return Sweep(path, load)


def _values(key: str, values: Any) -> str:
    """Write the values of a key as an override of a sweep.

    Raises:
        ConfigError: They are no list, or one of them is an object.
    """
    if isinstance(values, str) or not isinstance(values, Iterable):
        text = _text(key, values)
        raise ConfigError(f"{key}={text}: a list of values is needed: {key}=[{text}]")
    texts = [_text(key, value) for value in values]
    if not texts:
        raise ConfigError(f"{key}: has no value, so there is no job")
    return ",".join(texts)


def _text(key: str, value: Any) -> str:
    try:
        return value_text(value)
    except ConfigError as error:
        shared = f"Pass one for all jobs, {key}=…, or call" if key in KINDS else "Call"
        raise ConfigError(
            f"{key}: a sweep varies numbers and texts, and {type(value).__name__} is an object. {shared} vae_exp.train "
            "for each object"
        ) from error


def _allowed(parts: dict[str, Network | Likelihood]) -> dict[str, Any]:
    """Return the objects if each is the value of the argument that takes it.

    Raises:
        ConfigError: One is not.
    """
    for name, part in parts.items():
        if name not in KINDS:
            raise ConfigError(f"{name}: takes no {type(part).__name__}. Objects are the values of {', '.join(KINDS)}")
    return dict(parts)


def _check_launcher(words: Sequence[str]) -> None:
    """Refuse objects for jobs in other processes.

    Raises:
        ConfigError: The words choose such a launcher.
    """
    for override in parse_possible(words):
        if override.key == "hydra/launcher" and override.value != "basic":
            raise ConfigError(
                f"{override.text}: its jobs run in other processes, which do not get the objects of this program. "
                "Leave it out, or use parts that can be named on the command line (docs/own_parts.md)"
            )


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
