"""The command line: compose, run, return the metric."""

import logging
import sys
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from vae_exp.cli.config_dir import flags_first
from vae_exp.cli.interruption import interruptible
from vae_exp.cli.output import lasting_output
from vae_exp.config.paths import CONFIG_DIR as CONFIG_DIR
from vae_exp.config.relative import make_absolute
from vae_exp.errors import UserError
from vae_exp.explain import readable_errors
from vae_exp.resume import resolve_resume, resolve_sweep
from vae_exp.run_directory import RunDirectory
from vae_exp.usage import asks_for_help, usage

log = logging.getLogger(__name__)


def by_choice(group: str, values: DictConfig) -> Any:
    """A value that depends on the choice of a group: `${by_choice:objective,{sgvb_b: 0.1, mcem: 0.3}}`."""
    choice = HydraConfig.get().runtime.choices[group]
    if choice not in values:
        raise KeyError(f"nothing is set for {group}={choice}: {', '.join(map(str, values))}")
    return values[choice]


OmegaConf.register_new_resolver("by_choice", by_choice, replace=True)


@hydra.main(version_base="1.3", config_path=str(CONFIG_DIR), config_name="config")
def run(config: DictConfig) -> float:
    """One job."""
    job: Any = HydraConfig.get()
    directory = RunDirectory(job.runtime.output_dir)
    in_sweep = job.mode == RunMode.MULTIRUN
    make_absolute(config, Path(job.runtime.cwd))
    if in_sweep and directory.holds_a_run():  # the sweep is resumed, or the scheduler started the job again
        config.resume = str(directory.path)
    with lasting_output(), interruptible(directory):  # a launcher's process has streams and signals of its own
        # torch takes seconds to import: not before there is something to train
        from vae_exp.training.run import train

        try:
            return train(config, directory.path, job)
        except Exception as error:
            if in_sweep:  # which goes on
                fault = not isinstance(error, UserError)
                log.error("%s: %s [%s]", directory.path, error, " ".join(job.overrides.task), exc_info=fault)
            raise


def main() -> None:
    """The console script."""
    with readable_errors(CONFIG_DIR):
        if asks_for_help(sys.argv[1:]):
            print(usage(CONFIG_DIR, sys.argv[1:]))
            return
        sys.argv[1:] = resolve_resume(resolve_sweep(flags_first(sys.argv[1:])))
        run()


if __name__ == "__main__":
    main()
