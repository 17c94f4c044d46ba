"""`vae_exp [train]`: compose the config and train. Return the metric."""

import logging
import sys
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

import vae_exp.config.resolvers  # noqa: F401 (registers them)
from vae_exp.cli.config_dir import flags_first
from vae_exp.cli.explain import readable_errors
from vae_exp.cli.interruption import interruptible
from vae_exp.cli.output import lasting_output
from vae_exp.cli.resume import resolve_resume, resolve_sweep
from vae_exp.cli.usage import asks_for_help, usage
from vae_exp.config.objects import NO_OBJECTS, Objects
from vae_exp.config.paths import CONFIG_DIR
from vae_exp.config.relative import make_absolute
from vae_exp.errors import UserError
from vae_exp.results.run_directory import RunDirectory
from vae_exp.training.lasting_import import lasting_import

log = logging.getLogger(__name__)


def train_job(config: DictConfig, objects: Objects = NO_OBJECTS) -> float:
    """Train one job of Hydra's and return its metric.

    Args:
        config: The composed config.
        objects: Built parts that the config stands for.
    """
    job: Any = HydraConfig.get()
    directory = RunDirectory(job.runtime.output_dir)
    in_sweep = job.mode == RunMode.MULTIRUN
    make_absolute(config, Path(job.runtime.cwd))
    if in_sweep and directory.holds_a_run():  # the sweep is resumed, or the scheduler restarted the job
        config.resume = str(directory.path)
    with lasting_output(), interruptible(directory):  # a launcher's process has its own streams and signals
        with lasting_import():  # it takes seconds, so only when there is something to train
            from vae_exp.training.run import train

        try:
            return train(config, directory.path, job, objects)
        except Exception as error:
            if in_sweep:  # the sweep continues with its other jobs
                fault = not isinstance(error, UserError)
                log.error("%s: %s [%s]", directory.path, error, " ".join(job.overrides.task), exc_info=fault)
            raise


run = hydra.main(version_base="1.3", config_path=str(CONFIG_DIR), config_name="config")(train_job)


def main() -> None:
    """Run `train` with Hydra's overrides and flags from the command line."""
    with readable_errors(CONFIG_DIR):
        if asks_for_help(sys.argv[1:]):
            print(usage(CONFIG_DIR, sys.argv[1:]))
            return
        sys.argv[1:] = resolve_resume(resolve_sweep(flags_first(sys.argv[1:])))
        run()
