"""What our launchers share: check the keys, compose a job, run it, say how it ended."""

from collections.abc import Iterable, Sequence
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf, open_dict

from vae_exp.cli.sweep import failure
from vae_exp.config.schema import check_node
from vae_exp.errors import Interrupted, RunError, UserError

OURS = "hydra_plugins.vae_exp_"
"""Where the targets of our own launchers begin."""


def check_launcher(config: DictConfig) -> None:
    """Check the keys of one of our launchers. Hydra would end with a TypeError when it builds it.

    Raises:
        ConfigError: A key is unknown, or its value is not allowed.
    """
    keys: Any = OmegaConf.to_container(config.hydra.launcher)
    if str(keys["_target_"]).startswith(OURS):
        check_node(OmegaConf.create(keys), get_class(keys["_target_"]), "hydra.launcher")


def composed(context: HydraContext, config: DictConfig, overrides: Sequence[str], number: int) -> DictConfig:
    """Compose the config of a job.

    Args:
        context: Composes.
        config: The config of the sweep.
        overrides: The overrides of the job.
        number: The number of the job in its sweep.
    """
    job: DictConfig = context.config_loader.load_sweep_config(config, list(overrides))
    with open_dict(job):
        job.hydra.job.id = str(number)
        job.hydra.job.num = number
    return job


def run_elsewhere(context: HydraContext, task_function: TaskFunction, config: DictConfig) -> JobReturn:
    """Run a job in a process or thread that is not that of the sweep, and return what can be sent to the sweep."""
    setup_globals()
    HydraConfig.instance().set_config(config)
    try:
        job = run_job(
            hydra_context=context,
            task_function=task_function,
            config=config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
    except (Interrupted, KeyboardInterrupt) as interruption:
        return failed(config, RunError(str(interruption) or "Interrupted"))
    if job.status == JobStatus.FAILED and not isinstance(error := failure(job), UserError):
        # another package's exception may not survive pickling on the way back
        job.return_value = RunError(f"{type(error).__name__}: {error}")
    return job


def failed(config: DictConfig, error: RunError) -> JobReturn:
    """Return the result of a job that could not return one itself."""
    job = JobReturn(overrides=list(config.hydra.overrides.task), status=JobStatus.FAILED)
    job.return_value = error
    return job


def shared_overrides(configs: Iterable[DictConfig]) -> set[str]:
    """Return the overrides that all jobs have, which need not be repeated for each; empty if there is only one job."""
    overrides = [set(config.hydra.overrides.task) for config in configs]
    return set.intersection(*overrides) if len(overrides) > 1 else set()


def ending(job: JobReturn, config: DictConfig, shared: set[str]) -> str:
    """Say how a job ended, with its overrides except the shared ones."""
    words = " ".join(word for word in config.hydra.overrides.task if word not in shared)
    completed = job.status == JobStatus.COMPLETED
    how = f"completed: {job.return_value:.2f}" if completed else f"FAILED: {failure(job)}"
    return f"Job {config.hydra.sweep.subdir} ({words}) {how}"
