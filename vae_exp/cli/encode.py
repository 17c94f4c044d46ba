"""`vae_exp encode run=<dir> split=test output=codes.npz`: write the codes of a split's images to a file."""

from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Interval
from pydantic import PositiveInt

from vae_exp.cli.arguments import run_as_command
from vae_exp.errors import ConfigError
from vae_exp.results.files import replacing
from vae_exp.results.run_directory import Checkpoint

USAGE = """\
python -m vae_exp encode run=<run directory> [split=train|validation|test] [output=<file>.npz|.csv|.parquet]
                         [images=<all>] [checkpoint=last|best] [seed=0] [trust=<package>]
"""

IMAGES_PER_BATCH = 500
"""Number of images that are encoded at once."""


def encode(
    run: str,
    split: Literal["train", "validation", "test"] = "test",
    output: str | None = None,
    images: PositiveInt | None = None,
    checkpoint: Checkpoint = "last",
    seed: Annotated[int, Interval(ge=0, lt=2**31)] = 0,
    trust: str | list[str] | None = None,
) -> Path:
    """Write the codes of a split's images to a file, with their labels and their positions in the split.

    A classifier, such as M2, does not see the labels: it encodes with the classes that it predicts.

    Args:
        run: The run directory.
        split: The split whose images are encoded.
        output: The file. An existing file is replaced. The suffix decides the format: `.npz`, `.csv` or `.parquet`. The
            default is `codes_<split>.npz` in the run directory, or `codes_<split>_best.npz`.
        images: Encode only the first `images` images. The default is the whole split, or 1000 images for a model
            without an encoder.
        checkpoint: The model that encodes: `last`, which the results belong to, or `best`.
        seed: Seed of the random draws: of the pixels with `dataset.binarization=dynamic`, and of the search for the
            code if the model has no encoder.
        trust: Packages whose parts the run may use.

    Returns:
        The path of the file.

    Raises:
        UserError: The run cannot be loaded, it has no such split, or the file cannot be written.
    """
    import torch

    from vae_exp.evaluation.code import FEW_IMAGES
    from vae_exp.evaluation.codes import encode_images
    from vae_exp.likelihood import unvalidated
    from vae_exp.network.linear import fast_linear
    from vae_exp.results.codes import check_codes_path, write_codes
    from vae_exp.results.load import load_run

    path = Path(output) if output else Path(run) / f"codes_{split}{'_best' * (checkpoint == 'best')}.npz"
    check_codes_path(path)
    loaded = load_run(run, checkpoint, trust)
    data = loaded.data
    if split not in data.splits:
        raise ConfigError(f"split={split}: the run has none. Allowed: {', '.join(data.splits)}")
    most = images or (None if loaded.model.amortized else FEW_IMAGES)
    batches = data.evaluation_batches(split, IMAGES_PER_BATCH, most)
    try:
        with replacing(path) as file, torch.random.fork_rng(devices=[]), unvalidated(), fast_linear(True):
            torch.manual_seed(seed)
            write_codes(file, path, encode_images(loaded.model, batches), data.info.class_names)
    except OSError as error:
        raise ConfigError(f"output={path}: cannot be written: {error}") from error
    return path


def main() -> None:
    """Run `encode` with arguments written key=value."""
    run_as_command(encode, USAGE)
