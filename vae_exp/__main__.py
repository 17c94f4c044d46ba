"""The command line: compose, run, return the metric."""

import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from vae_exp.explain import readable_errors
from vae_exp.resume import resolve_resume

PACKAGED = Path(__file__).parent / "conf"
CONFIG_DIR = PACKAGED if PACKAGED.exists() else Path(__file__).parents[1] / "conf"


@hydra.main(version_base="1.3", config_path=str(CONFIG_DIR), config_name="config")
def run(config: DictConfig) -> float:
    """One job."""
    # torch takes seconds to import: not before there is something to train
    from vae_exp.training import train

    job = HydraConfig.get()
    return train(config, Path(job.runtime.output_dir), dict(job.runtime.choices))


def main() -> None:
    """The console script."""
    with readable_errors(CONFIG_DIR):
        sys.argv[1:] = resolve_resume(sys.argv[1:])
        run()


if __name__ == "__main__":
    main()
