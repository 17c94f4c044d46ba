"""Reads the IDX files of MNIST and similar datasets with torchvision."""

from pathlib import Path

from torchvision.datasets import MNIST as IdxDataset

from vae_exp.dataset.base import Images, Splits
from vae_exp.errors import DataError
from vae_exp.lock import locked

READING_ERRORS = (AssertionError, EOFError, IndexError, KeyError, OSError, RuntimeError, ValueError)


def load_idx(dataset: type[IdxDataset], root: Path, download: bool) -> Splits:
    """Read both official splits of an IDX dataset under `root`.

    Raises:
        DataError: A file is missing and cannot be downloaded, or cannot be read.
    """
    folder = root / dataset.__name__ / "raw"
    names = [Path(name).stem for name, _ in dataset.resources]
    if not download and (missing := [name for name in names if not (folder / name).exists()]):
        raise DataError(f"{dataset.__name__}: {', '.join(missing)} is missing in {folder}")
    try:
        if download and not all((folder / name).exists() for name in names):
            with locked(root / f".{dataset.__name__}.lock", wait=True):  # many jobs may start at once
                dataset(root, download=True)
        train, test = (_images(dataset(root, train=train)) for train in (True, False))
    except READING_ERRORS as error:
        present = [name for name in names if (folder / name).exists()]
        if len(present) < len(names):
            raise DataError(
                f"{dataset.__name__} is not in paths.data and could not be downloaded "
                f"({str(error).strip().splitlines()[-1]}). Put {', '.join(names)} into {folder.absolute()}, "
                f"or point paths.data (VAE_EXP_DATA) at the folder that holds {dataset.__name__}/raw"
            ) from error
        raise DataError(
            f"{dataset.__name__}: a file in {folder.absolute()} is cut short or damaged: {error}"
        ) from error
    return Splits(train, test)


def _images(dataset: IdxDataset) -> Images:
    if len(dataset.data) != len(dataset.targets):
        raise ValueError(f"{len(dataset.data)} images, but {len(dataset.targets)} labels")
    if dataset.data.shape[1:] != (28, 28) or dataset.targets.max() > 9:
        raise ValueError(f"images of {tuple(dataset.data.shape[1:])}, labels up to {dataset.targets.max()}")
    return Images(dataset.data[:, None], dataset.targets)
