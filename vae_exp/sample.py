"""`python -m vae_exp.sample run=<dir> n=64`: a picture of samples from a finished run."""

import sys
from pathlib import Path
from typing import Annotated

from annotated_types import Interval
from omegaconf import OmegaConf
from pydantic import PositiveInt
from yaml import YAMLError

from vae_exp.__main__ import CONFIG_DIR
from vae_exp.errors import ConfigError
from vae_exp.explain import readable_errors
from vae_exp.schema import check


def sample(
    run: str,
    n: PositiveInt = 64,
    output: str | None = None,
    seed: Annotated[int, Interval(ge=0, lt=2**31)] = 0,
    label: Annotated[int, Interval(ge=0)] | None = None,
) -> Path:
    """Draw n images from a run's prior into one picture.

    Args:
        run: The run directory.
        n: How many images.
        output: The picture; by default `figures/samples_<n>.png` of the run.
        seed: Of the draw.
        label: Of which class, where the model is conditioned on it; by default any.

    Returns:
        Where the picture is.

    Raises:
        UserError: The run cannot be loaded, or has nothing to sample from.
    """
    import torch

    from vae_exp.figures import samples
    from vae_exp.run import load_run

    model = load_run(run).model
    if label is not None and label >= model.classes:
        raise ConfigError(
            f"label={label}: is not allowed: "
            + (f"0 to {model.classes - 1}" if model.classes else "the model takes no labels")
        )
    torch.manual_seed(seed)
    y = None if label is None else torch.full((n,), label)
    figure = samples(model.sample(n, y), f"{n} samples from the prior", columns=max(1, round(n**0.5)))
    path = Path(output) if output else Path(run) / "figures" / f"samples_{n}.png"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=150, bbox_inches="tight")
    except (OSError, ValueError) as error:
        raise ConfigError(f"output={path}: cannot be written: {error}") from error
    return path


def main() -> None:
    """Arguments as Hydra writes them: key=value."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        print("python -m vae_exp.sample run=<run directory> [n=64] [output=<picture>] [seed=0] [label=<class>]")
        return
    with readable_errors(CONFIG_DIR):
        for word in sys.argv[1:]:
            if "=" not in word:
                raise ConfigError(f"{word}: arguments are written key=value")
        try:
            arguments = OmegaConf.from_dotlist(sys.argv[1:])
        except YAMLError as error:
            raise ConfigError(f"arguments are written key=value: {error}") from error
        check(arguments, sample)
        print(sample(**{str(key): value for key, value in arguments.items()}))


if __name__ == "__main__":
    main()
