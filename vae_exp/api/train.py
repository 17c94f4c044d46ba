"""`vae_exp.train`: what the command does, called from Python."""

import logging
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Callback

from vae_exp.api.objects import choices_of, objects_of
from vae_exp.api.process import unchanged_process
from vae_exp.api.words import checked_words, errors_as_exceptions, hydra_application, with_directory
from vae_exp.cli.config_dir import overrides_of
from vae_exp.cli.resume import resolve_resume
from vae_exp.cli.train import train_job
from vae_exp.config.objects import Objects
from vae_exp.config.trust import Trust, targets_in, trusted_packages
from vae_exp.errors import ConfigError, Interrupted
from vae_exp.likelihood import Likelihood
from vae_exp.network import Network
from vae_exp.results.load import load_trusted
from vae_exp.results.run import Run
from vae_exp.results.run_directory import RunDirectory

log = logging.getLogger(__name__)


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
        The run with its trained model. After Ctrl-C (a notebook's interrupt), the run so far: `metrics["status"]` is
        `interrupted`, and `train(f"resume={run.path}")` continues it.

    Raises:
        UserError: What the command refuses with one message; an error of `vae_exp.errors`.
        KeyboardInterrupt: Ctrl-C before there was anything to save, or in a run in stages.
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
    except Interrupted as interruption:
        _continue_with(interruption, job)
    return load_trusted(job.path, "last", job.trust, objects)


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
        self.in_stages = False

    def __call__(self, config: DictConfig) -> None:
        """Train the job. An error is kept: Hydra would print it."""
        self.path = Path(HydraConfig.get().runtime.output_dir)
        try:
            self.in_stages = bool(config.get("stages"))
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


def _continue_with(interruption: Interrupted, job: _Job) -> None:
    """Say how an interrupted run continues, if there is something to continue with. SIGTERM goes on to the caller.

    Raises:
        KeyboardInterrupt: Nothing was saved, or only a part of a run in stages.
    """
    holds_a_run = RunDirectory(job.path).holds_a_run()
    message = str(interruption).partition(". Go on with")[0].partition("; all is saved")[0]
    if holds_a_run:
        message = f'{message}; all is saved. Go on with:\n  vae_exp.train("resume={job.path}")'
    if interruption.signal_number == signal.SIGTERM:
        signal.raise_signal(signal.SIGTERM)
    if not holds_a_run or job.in_stages:
        raise KeyboardInterrupt(message) from interruption
    print(message)
