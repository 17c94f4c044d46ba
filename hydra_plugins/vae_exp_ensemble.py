"""`hydra/launcher=ensemble`: train the jobs of a sweep together, as one program, if only numbers differ in them."""

import logging
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from hydra.core.utils import JobReturn, configure_log, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig
from pydantic import PositiveInt

from vae_exp.cli.launch import composed, ending, run_elsewhere, shared_overrides
from vae_exp.errors import Interrupted

log = logging.getLogger(__name__)


class EnsembleLauncher(Launcher):
    """Run jobs in one process. Jobs whose models differ in numbers only are trained together, as one program.

    Args:
        jobs: How many jobs are in memory at a time; None for all.
    """

    config: DictConfig
    hydra_context: HydraContext
    task_function: TaskFunction

    def __init__(self, jobs: PositiveInt | None = None) -> None:
        self.jobs = jobs

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what the jobs need."""
        self.hydra_context = hydra_context
        self.task_function = task_function
        self.config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs. If a job fails, the others continue.

        Raises:
            Interrupted: SIGINT or SIGTERM arrived. The jobs have saved their state.
        """
        setup_globals()
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        configs = [
            composed(self.hydra_context, self.config, words, number)
            for number, words in enumerate(job_overrides, initial_job_idx)
        ]
        size = self.jobs or len(configs)
        log.info("Jobs: %d, %d at a time, in one process", len(configs), min(size, len(configs)))
        results: list[JobReturn] = []
        for first in range(0, len(configs), size):
            results += self._launch_together(configs[first : first + size])
        return results

    def _launch_together(self, configs: list[DictConfig]) -> list[JobReturn]:
        from vae_exp.training.ensemble import run_together  # imports torch

        shared, began, left = shared_overrides(configs), time.monotonic(), iter(reversed(range(len(configs))))
        results: dict[int, JobReturn] = {}

        def ended(number: int, result: JobReturn) -> None:
            results[number] = result
            line = ending(result, configs[number], shared)
            log.info("%s; %d left, after %.0f s", line, next(left), time.monotonic() - began)

        jobs = [partial(run_elsewhere, self.hydra_context, self.task_function, config) for config in configs]
        signal_number = run_together(jobs, [_log_of(config) for config in configs], ended)
        if signal_number is not None:
            raise Interrupted(signal_number, "Interrupted; the jobs have saved their state.")
        return [results[number] for number in range(len(configs))]


def _log_of(config: DictConfig) -> Path:
    return Path(config.hydra.sweep.dir).absolute() / str(config.hydra.sweep.subdir) / "vae_exp.log"
