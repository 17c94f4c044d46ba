"""`vae_exp.load_run`: load a run that has ended as an object, which can be resumed."""

from pathlib import Path
from typing import Any

from vae_exp.api.objects import objects_of
from vae_exp.api.train import load_resumable
from vae_exp.config.trust import Packages, Trust, trusted_packages
from vae_exp.likelihood import Likelihood
from vae_exp.network import Network
from vae_exp.results.run import Run


def load_run(
    path: str | Path,
    checkpoint: str = "last",
    trust: Packages = None,
    *,
    data: Any = None,
    network: Network | None = None,
    likelihood: Likelihood | None = None,
) -> Run:
    """Load a run that has ended. For a run in stages, load its last stage.

    A run directory may come from anyone, so it is treated as data: it can build only this project's own parts, unless
    you trust other packages.

    Args:
        path: The run directory.
        checkpoint: `last`, the model that the results belong to, or `best`.
        trust: Packages whose parts the run may use, such as `("my_package",)`.
        data: The images, if the run was trained on an object, as for `vae_exp.train`. They are needed only for what
            shows images, and to resume the run.
        network: The network, if the run was trained with an object.
        likelihood: The likelihood, if the run was trained with an object.

    Raises:
        RunError: The path is not a run directory, the run has not ended, it names parts that are not trusted, it was
            made of objects that are not given, or a file is damaged.
        ConfigError: An object has another class.
    """
    objects = objects_of(data, network, likelihood)
    return load_resumable(path, checkpoint, Trust(trusted_packages(trust)), objects)
