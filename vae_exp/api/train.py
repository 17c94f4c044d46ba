"""`vae_exp.train`: what the command does, called from Python."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Callback
from rich.console import Console

from vae_exp.api.interruption import Interruption, what_happened
from vae_exp.api.objects import choices_of, objects_of
from vae_exp.api.process import unchanged_process
from vae_exp.api.words import checked_words, errors_as_exceptions, hydra_application, with_directory
from vae_exp.cli.config_dir import overrides_of
from vae_exp.cli.resume import resolve_resume
from vae_exp.cli.train import train_job
from vae_exp.config.objects import ARGUMENTS, Objects
from vae_exp.config.overrides import key_of, parse_possible, value_text
from vae_exp.config.stored import check_folder_name
from vae_exp.config.trust import Trust, packages_of, targets_in, trusted_packages
from vae_exp.errors import ConfigError, Interrupted
from vae_exp.likelihood import Likelihood
from vae_exp.network import Network
from vae_exp.results.load import load_trusted
from vae_exp.results.run import Run
from vae_exp.results.run_directory import RunDirectory
from vae_exp.results.summary import known_results


def train(
    *overrides: str,
    data: Any = None,
    network: Network | None = None,
    likelihood: Likelihood | None = None,
    callbacks: Iterable[Callback] = (),
    directory: str | Path | None = None,
) -> Run:
    """Train one run, as the command `vae_exp` does, and return it.

    The numbers are those of the command, and the run directory is the same. The process stays as it was: working
    directory, signal handlers, logging, random generators, settings of PyTorch, environment. Only one run at a time
    trains in a process; a call from another thread waits.

    Args:
        overrides: The words of the command: `"+experiment=mnist_vae"`, `"samples=20000"`, `"resume=<run>"`.
        data: Images in place of `dataset`: a `Source`, an array or tensor (N, …), a pair of images and labels, or a
            mapping of arrays by name.
        network: A network in place of the group `network`. A copy of it is used.
        likelihood: A likelihood in place of the group `likelihood`. A copy of it is trained.
        callbacks: More callbacks of Lightning, as objects.
        directory: The run directory. The default is that of the command, in `outputs/`.

    Returns:
        The run with its trained model. `run.resume("samples=…")` continues it. If a notebook's kernel is interrupted,
        the run so far, with the status `interrupted`.

    Raises:
        UserError: What the command refuses with one message; an error of `vae_exp.errors`.
        KeyboardInterrupt: Ctrl-C outside a notebook, where it must end loops of the program too. The run so far is
            saved, and is the `result` of the error (`vae_exp.api.interruption.Interruption`). The message says how to
            continue it.
    """
    objects = objects_of(data, network, likelihood, callbacks)
    job = _Job(objects)
    try:
        with unchanged_process(), errors_as_exceptions(overrides):
            words = resolve_resume(with_directory(checked_words(overrides, "train"), directory, "hydra.run.dir"))
            with hydra_application() as hydra:
                hydra.run("config", job, [*choices_of(objects, words), *overrides_of(words), "hydra.mode=RUN"])
            if job.error is not None:
                raise job.error
    except Interrupted as interrupted:
        interruption = _interruption(interrupted, job, objects)
        if not (Console().is_jupyter and isinstance(interruption.result, Run)):
            raise interruption from interrupted
        print(interruption)
        return interruption.result
    return load_resumable(job.path, "last", job.trust, objects)


def load_resumable(path: str | Path, checkpoint: str, trust: Trust, objects: Objects) -> Run:
    """Load a run as `load_trusted` does. `Run.resume` trains it with the same objects and trusts the same packages."""
    run = load_trusted(path, checkpoint, trust, objects)
    return replace(run, continued_by=partial(_continued, _words_to_resume(Path(path), trust), objects))


class _Job:
    """The job that Hydra runs. It keeps what `train` needs afterwards, also if the job fails.

    Args:
        objects: The objects that the config stands for.
    """

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self.path = Path()
        self.trust = Trust()
        self.error: Exception | None = None

    def __call__(self, config: DictConfig) -> None:
        """Train the job. An error is kept: Hydra would print it."""
        self.path = Path(HydraConfig.get().runtime.output_dir)
        try:
            _check(config)
            # what the caller's own words name may be built again
            values: Any = OmegaConf.to_container(config, resolve=True)
            self.trust = Trust(trusted_packages(config.get("trust")), targets_in(values))
            train_job(config, self._objects)
        except Exception as error:
            self.error = error


def _check(config: DictConfig) -> None:
    """Refuse a run that leaves no model."""
    if config.get("callbacks") is not None and config.callbacks.get("checkpoint") is None:
        raise ConfigError("callbacks.checkpoint=null: saves no model, so there is none to return")


def _interruption(interruption: Interrupted, job: _Job, objects: Objects) -> Interruption:
    """Return what tells the caller of an interrupted run how it continues, with the run so far."""
    if not RunDirectory(job.path).holds_a_run():
        return Interruption(what_happened(interruption, None), job.path)
    parts = [f"{argument}=…" for place, argument in ARGUMENTS.items() if place in objects]
    words = ", ".join([*map(json.dumps, _words_to_resume(job.path, job.trust)), *parts])
    return Interruption(what_happened(interruption, f"vae_exp.train({words})"), job.path, _so_far(job, objects))


def _so_far(job: _Job, objects: Objects) -> Run | None:
    """Load what an interrupted run has saved: of a run in stages, the stage that it was in; None if that is nothing."""
    stage = known_results(RunDirectory(job.path).results).get("stage")
    folder = job.path if stage is None else job.path / check_folder_name(stage, f"stage in {job.path}")
    if not RunDirectory(folder).last_checkpoint.exists():
        return None
    run = load_trusted(folder, "last", job.trust, objects)
    return replace(run, continued_by=partial(_continued, _words_to_resume(job.path, job.trust), objects))


def _words_to_resume(path: Path, trust: Trust) -> list[str]:
    packages = sorted({*trust.packages, *packages_of(trust.names)})
    return [f"resume={value_text(str(path))}", *([f"trust=[{','.join(packages)}]"] if packages else [])]


def _continued(words: Sequence[str], objects: Objects, *overrides: str) -> Run:
    """Train with the words that resume a run, more overrides, and the objects that the run was made of."""
    typed = {override.key for override in parse_possible(checked_words(overrides, "resume"))}
    parts = {argument: objects[place] for place, argument in ARGUMENTS.items() if place in objects}
    callbacks = [part for place, part in objects.items() if place.startswith("callbacks.")]
    return train(*(word for word in words if key_of(word) not in typed), *overrides, callbacks=callbacks, **parts)
