"""`hydra/launcher=ray`: run every job of a sweep as a task of Ray Core, on this machine or on a cluster."""

import logging
import os
import signal
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, configure_log, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig
from pydantic import NonNegativeFloat, PositiveFloat

from vae_exp.cli.launch import composed, ending, failed, run_elsewhere, shared_overrides
from vae_exp.errors import ConfigError, RunError, needs_extra

log = logging.getLogger(__name__)

SECONDS_TO_SAVE = 60
"""Time for cancelled jobs to finish their step and save."""


class RayLauncher(Launcher):
    """Run jobs in parallel, as many as their CPUs and GPUs allow.

    A job with GPUs has its own process and sees only its GPUs (CUDA_VISIBLE_DEVICES). Jobs without a GPU can follow
    each other in one process. A job uses as many threads as it has CPUs, unless OMP_NUM_THREADS is set.

    Args:
        address: Address of a running cluster with a shared file system (`auto` for this machine's cluster); None starts
            a local Ray.
        num_cpus_per_job: CPUs of each job.
        num_gpus_per_job: GPUs of each job. With a fraction, several jobs share a GPU.
        init: Further arguments of `ray.init`, such as `num_cpus` and `num_gpus` of a local Ray.
    """

    config: DictConfig
    hydra_context: HydraContext
    task_function: TaskFunction

    def __init__(
        self,
        address: str | None = None,
        num_cpus_per_job: PositiveFloat = 1,
        num_gpus_per_job: NonNegativeFloat = 0,
        init: Mapping[str, Any] | None = None,
    ) -> None:
        self.address = address
        self.resources: dict[str, Any] = {"num_cpus": num_cpus_per_job, "num_gpus": num_gpus_per_job}
        self.init = dict(init or {})

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Start a local Ray or connect to a cluster.

        Raises:
            ConfigError: The cluster does not exist, or no node has the resources that a job needs.
        """
        if find_spec("ray") is None:
            raise ConfigError(needs_extra("hydra/launcher=ray", "ray"))
        self.hydra_context = hydra_context
        self.task_function = task_function
        self.config = config
        _start(self.address, self.init)
        _check_resources(self.resources)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs. If a job fails or its process is killed, the others continue."""
        import ray

        if not ray.is_initialized():  # a search calls this several times, and each call shuts Ray down
            _start(self.address, self.init)
        setup_globals()
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        configs = [
            composed(self.hydra_context, self.config, words, number)
            for number, words in enumerate(job_overrides, initial_job_idx)
        ]
        task = ray.remote(max_retries=0, **self.resources)(_run)
        shared = ray.put((self.hydra_context, self.task_function, Singleton.get_state(), str(Path.cwd())))
        threads = max(1, int(self.resources["num_cpus"]))
        inherited = signal.signal(signal.SIGTERM, signal.default_int_handler)  # Ray's own handler aborts the process
        try:
            return _gathered({task.remote(shared, config, threads): config for config in configs})
        finally:
            ray.shutdown()
            signal.signal(signal.SIGTERM, inherited)


def _start(address: str | None, arguments: Mapping[str, Any]) -> None:
    import ray

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # the jobs are the main work of the machine, so they get normal priority
    os.environ.setdefault("RAY_worker_niceness", "0")
    # the jobs write their own logs, so Ray does not print their output
    quiet: dict[str, Any] = {"include_dashboard": False} if address is None else {}
    try:
        ray.init(address or "local", log_to_driver=False, logging_level=logging.ERROR, **quiet, **arguments)
    except (ConnectionError, ValueError, TypeError, RuntimeError) as error:
        hint = "" if address in (None, "auto") else " (a cluster with tokens wants RAY_AUTH_MODE=token)"
        raise ConfigError(f"hydra.launcher.address={address}: Ray does not start: {error}{hint}") from error


def _check_resources(requested: Mapping[str, float]) -> None:
    """Refuse resources that no node has: Ray would wait forever without a message."""
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = requested["num_gpus"]
    if gpus > 1 and gpus != int(gpus):
        raise ConfigError(f"hydra.launcher.num_gpus_per_job={gpus:g}: is not allowed: a fraction of one, or whole ones")
    if any(node.get("CPU", 0) >= requested["num_cpus"] and node.get("GPU", 0) >= gpus for node in nodes):
        return
    has = "; ".join(f"{node.get('CPU', 0):g} CPUs and {node.get('GPU', 0):g} GPUs" for node in nodes)
    words = " ".join(f"hydra.launcher.{name}_per_job={value:g}" for name, value in requested.items())
    raise ConfigError(f"{words}: no node offers these resources. Available: {has}")


def _gathered(running: dict[Any, DictConfig]) -> list[JobReturn]:
    """Wait for the jobs and return their results in order. Log a line as each ends. Cancel the rest on an interrupt."""
    import ray

    returns: dict[Any, JobReturn] = {}
    unfinished, began = list(running), time.monotonic()
    shared = shared_overrides(running.values())
    log.info("Jobs on Ray: %d", len(unfinished))
    try:
        while unfinished:
            (done,), unfinished = ray.wait(unfinished)
            returns[done] = _return_of(done, running[done])
            line = ending(returns[done], running[done], shared)
            log.info("%s; %d left, after %.0f s", line, len(unfinished), time.monotonic() - began)
    except BaseException:
        log.info("Cancelling %d jobs; they save their state first", len(unfinished))
        for task in unfinished:
            ray.cancel(task)
        ray.wait(unfinished, num_returns=len(unfinished), timeout=SECONDS_TO_SAVE)
        raise
    return [returns[task] for task in running]


def _return_of(task: Any, config: DictConfig) -> JobReturn:
    import ray

    try:
        job: JobReturn = ray.get(task)
    except ray.exceptions.RayError as error:
        cause = str(getattr(error, "cause", None) or error).splitlines()[0]  # the other lines are Ray's own logs
        return failed(config, RunError(f"its process was killed or did not start ({type(error).__name__}: {cause})"))
    return job


def _run(shared: tuple[HydraContext, TaskFunction, Any, str], config: DictConfig, threads: int) -> JobReturn:
    """Run one job in a worker process."""
    import ray

    hydra_context, task_function, state, directory = shared
    os.chdir(directory)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(ray.get_runtime_context().get_accelerator_ids()["GPU"])
    Singleton.set_state(state)
    return run_elsewhere(hydra_context, task_function, config)
