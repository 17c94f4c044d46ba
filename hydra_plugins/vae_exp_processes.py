"""`hydra/launcher=processes`: run the jobs of a sweep beside each other on this machine, without importing for each."""

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, configure_log, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig
from pydantic import PositiveInt

from vae_exp.cli.launch import composed, ending, failed, run_elsewhere, shared_overrides
from vae_exp.errors import RunError
from vae_exp.training.forked import Call, check_platform, cores, run_forked, start_server, threads_per_process

log = logging.getLogger(__name__)


class ProcessLauncher(Launcher):
    """Run jobs in parallel, each in a process that is forked from one in which everything is imported.

    Args:
        jobs: How many jobs run at a time; None for as many as there are cores.
        threads: Threads of each job; None for OMP_NUM_THREADS if it is set, and otherwise cores // jobs, at least 1.
    """

    config: DictConfig
    hydra_context: HydraContext
    task_function: TaskFunction

    def __init__(self, jobs: PositiveInt | None = None, threads: PositiveInt | None = None) -> None:
        self.jobs = jobs or cores()
        self.threads = threads or threads_per_process(self.jobs)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Check the platform.

        Raises:
            ConfigError: It cannot fork.
        """
        check_platform()
        self.hydra_context = hydra_context
        self.task_function = task_function
        self.config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs. If a job fails or its process is killed, the others continue."""
        start_server(self.threads)  # it imports while the jobs are composed
        setup_globals()
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        configs = [
            composed(self.hydra_context, self.config, words, number)
            for number, words in enumerate(job_overrides, initial_job_idx)
        ]
        instances = Singleton.get_state()["instances"]
        calls = [
            Call(_run, (self.hydra_context, self.task_function, instances, config), _log_of(config))
            for config in configs
        ]
        shared, began, left = shared_overrides(configs), time.monotonic(), iter(reversed(range(len(configs))))

        def ended(number: int, result: JobReturn | RunError) -> None:
            line = ending(_job(result, configs[number]), configs[number], shared)
            log.info("%s; %d left, after %.0f s", line, next(left), time.monotonic() - began)

        log.info("Jobs: %d, %d at a time, threads of each: %d", len(configs), self.jobs, self.threads)
        results = run_forked(calls, self.jobs, self.threads, ended)
        return [_job(result, config) for result, config in zip(results, configs, strict=True)]


def _log_of(config: DictConfig) -> Path:
    return Path(config.hydra.sweep.dir).absolute() / str(config.hydra.sweep.subdir) / "vae_exp.log"


def _job(result: JobReturn | RunError, config: DictConfig) -> JobReturn:
    return failed(config, result) if isinstance(result, RunError) else result


def _run(context: HydraContext, task_function: TaskFunction, instances: Any, config: DictConfig) -> JobReturn:
    """Run one job in a forked process."""
    Singleton.set_state(Singleton.get_state() | {"instances": instances})
    return run_elsewhere(context, task_function, config)
