"""What a sweep's launcher is told, checked before anything is started."""

from importlib.util import find_spec

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from vae_exp.errors import ConfigError

SUBMITIT = ("hydra_plugins.hydra_submitit_launcher", "slurm")
EXTRAS = {
    "joblib": ("hydra_plugins.hydra_joblib_launcher", "joblib"),
    "ray": ("ray", "ray"),
    "submitit_local": SUBMITIT,
    "submitit_slurm": SUBMITIT,
}
"""By choice, the module that it needs and the extra of this package that brings it."""


def check_launcher(hydra: DictConfig) -> None:
    """Hold the launcher's config against what is installed, and against the published plugin's own schema.

    Keys that the yaml leaves out get the schema's defaults.

    Raises:
        ConfigError: An extra of this package is missing.
        OmegaConfBaseException: A value has another type.
    """
    choice = hydra.runtime.choices["hydra/launcher"]
    module, extra = EXTRAS.get(choice, ("hydra", ""))
    if find_spec(module) is None:
        raise ConfigError(f"hydra/launcher={choice}: needs the extra {extra}: pip install 'vae_exp[{extra}]'")
    if f"{choice}.yaml" in ConfigStore.instance().list("hydra/launcher"):
        schema = ConfigStore.instance().load(f"hydra/launcher/{choice}.yaml").node
        merged = OmegaConf.merge({"hydra": {"launcher": schema}}, {"hydra": {"launcher": hydra.launcher}})
        with read_write(hydra), open_dict(hydra):
            hydra.launcher = merged.hydra.launcher
