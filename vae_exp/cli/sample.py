"""`vae_exp sample run=<dir> n=64`: draw a picture of samples from a finished run."""

from pathlib import Path
from typing import Annotated

from annotated_types import Interval
from pydantic import PositiveInt

from vae_exp.cli.arguments import run_as_command
from vae_exp.errors import ConfigError
from vae_exp.results.files import replacing
from vae_exp.results.run_directory import Checkpoint

USAGE = (
    "python -m vae_exp sample run=<run directory> [n=64] [output=<picture>] [seed=0] [label=<class>]\n"
    "                         [checkpoint=last|best] [trust=<package>]"
)


def sample(
    run: str,
    n: PositiveInt = 64,
    output: str | None = None,
    seed: Annotated[int, Interval(ge=0, lt=2**31)] = 0,
    label: Annotated[int, Interval(ge=0)] | None = None,
    checkpoint: Checkpoint = "last",
    trust: str | list[str] | None = None,
) -> Path:
    """Draw n images from a run's prior into one picture.

    Args:
        run: The run directory.
        n: Number of images.
        output: The file of the picture. The default is `figures/samples_<n>.png` in the run directory, for the best
            model `samples_<n>_best.png`.
        seed: Seed of the random draws.
        label: The class of the images, if the model is conditioned on it. By default the classes are random.
        checkpoint: `last`, the model that the results belong to, or `best`.
        trust: Packages whose parts the run may use.

    Returns:
        The path of the picture.

    Raises:
        UserError: The run cannot be loaded, or its model has no prior to sample from.
    """
    import torch

    from vae_exp.architecture import HasPrior
    from vae_exp.figures.images import brightness, samples
    from vae_exp.figures.rows import is_row, strips
    from vae_exp.results.load import load_run

    loaded = load_run(run, checkpoint, trust)
    model = loaded.model
    if not isinstance(model, HasPrior):
        raise ConfigError(f"run={run}: {type(model).__name__} has no prior: there is nothing to sample from")
    if label is not None and label >= model.classes:
        raise ConfigError(
            f"label={label}: is not allowed: "
            + (f"0 to {model.classes - 1}" if model.classes else "the model takes no labels")
        )
    torch.manual_seed(seed)
    y = None if label is None else torch.full((n,), label)
    images, title = model.sample(n, y), f"{n} samples from the prior"
    if loaded.standardisation is not None:
        images = loaded.standardisation.invert(images)
    if is_row(model.shape):
        figure = strips({"samples": images}, images, title)
    else:
        figure = samples(brightness(images)(images), title, columns=max(1, round(n**0.5)))
    path = Path(output) if output else Path(run) / "figures" / f"samples_{n}{'_best' * (checkpoint == 'best')}.png"
    try:
        with replacing(path) as file:
            figure.savefig(file, format=path.suffix.removeprefix(".") or "png", dpi=150, bbox_inches="tight")
    except (OSError, ValueError) as error:
        raise ConfigError(f"output={path}: cannot be written: {error}") from error
    return path


def main() -> None:
    """Run `sample` with arguments written key=value."""
    run_as_command(sample, USAGE)
