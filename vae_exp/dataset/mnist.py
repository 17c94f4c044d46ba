"""MNIST (LeCun and Cortes), which is part of the package."""

import logging
import shutil
import tempfile
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torchvision import datasets
from torchvision.datasets.utils import check_md5

from vae_exp.dataset.base import Images, Info, Source, Splits
from vae_exp.errors import DataError

log = logging.getLogger(__name__)

FILES = Path(__file__).parent / "mnist_files"
CLASSES = tuple("0123456789")
UNPACKED_MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}


class PackagedMNIST(datasets.MNIST):  # type: ignore[misc]
    """torchvision's MNIST, which verifies and unpacks xz files that are already in its raw folder."""

    mirrors: ClassVar[list[str]] = ["packaged/"]  # never used, because the files are already there
    resources: ClassVar[list[tuple[str, str]]] = [
        ("train-images-idx3-ubyte.xz", "5f781408c463b99be7b6c0b01c967cfc"),
        ("train-labels-idx1-ubyte.xz", "b0ab8f333f58c4d389a671c9d6800ec3"),
        ("t10k-images-idx3-ubyte.xz", "40e2dac3a89552eaa3069dae6edf0d0c"),
        ("t10k-labels-idx1-ubyte.xz", "8a00c309b70aeaeb839db679c69e5bd7"),
    ]


class MNIST(Source):
    """60,000 training and 10,000 test images of digits, 28×28, in ten classes.

    Args:
        root: The cache folder. The files are unpacked into it once; many jobs may start at the same time.
    """

    def __init__(self, root: str) -> None:
        self.root = Path(root).expanduser()

    def describe(self) -> Info:
        """Say what the images are. This reads nothing."""
        return Info((1, 28, 28), CLASSES, sizes={"train": 60_000, "test": 10_000})

    def load(self) -> Splits:
        """Map both official splits: their pixels are shared by all processes that use them, and read when needed.

        Raises:
            DataError: A packaged file is missing or damaged, or the cache cannot be written.
        """
        raw = self.root / PackagedMNIST.__name__ / "raw"
        if not _is_whole(raw):
            try:
                unpack(self.root)
            except OSError as error:
                raise DataError(
                    f"paths.cache={self.root}: MNIST cannot be unpacked there ({error}); choose another folder"
                ) from error
        return Splits(_mapped(raw, "train"), _mapped(raw, "t10k"))


def unpack(root: Path, files: Path = FILES) -> None:
    """Unpack into a temporary folder beside the final one and rename it, so that no other job sees half a file.

    Args:
        root: The cache folder; created if it is missing.
        files: The folder that holds the packaged files.

    Raises:
        DataError: A packaged file is missing or damaged.
        OSError: The cache cannot be written.
    """
    root.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=root, prefix="unpacking-"))
    try:
        raw = scratch / PackagedMNIST.__name__ / "raw"
        raw.mkdir(parents=True)
        for name, _ in PackagedMNIST.resources:
            if not (files / name).exists():
                raise DataError(f"{files / name} is missing from the installation: install vae_exp again")
            shutil.copy(files / name, raw)
        try:
            PackagedMNIST(scratch, download=True)
        except (RuntimeError, EOFError, ValueError) as error:
            raise DataError(f"the MNIST files in {files} are damaged: install vae_exp again") from error
        _put_in_place(raw.parent, root / PackagedMNIST.__name__)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _put_in_place(unpacked: Path, home: Path) -> None:
    if home.exists() and not _is_whole(home / "raw"):
        log.warning("%s is damaged and is unpacked again", home)
        home.replace(unpacked.parent / "damaged")
    try:
        unpacked.replace(home)
    except OSError:
        if not _is_whole(home / "raw"):  # if it is whole, another job was faster
            raise


def _mapped(raw: Path, split: str) -> Images:
    """Map the pixels of a split whose files are whole. What is written to the pixels would stay in this process."""
    pixels = np.memmap(raw / f"{split}-images-idx3-ubyte", np.uint8, "c", offset=16)
    labels = np.fromfile(raw / f"{split}-labels-idx1-ubyte", np.uint8, offset=8)
    return Images(torch.from_numpy(pixels.reshape(-1, 1, 28, 28)), torch.from_numpy(labels).long())


def _is_whole(raw: Path) -> bool:
    return all((raw / name).exists() and check_md5(raw / name, md5) for name, md5 in UNPACKED_MD5.items())
