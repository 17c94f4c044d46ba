"""Frey Face (Roweis). It may not be redistributed: it is read from disk or downloaded."""

import hashlib
import secrets
import shutil
import urllib.request
from pathlib import Path

import numpy as np
import torch
from scipy.io import loadmat
from torch import Tensor

from vae_exp.dataset.base import Images, Info, Source, Splits, permutation
from vae_exp.errors import DataError

FILE = "frey_rawface.mat"
ADDRESS = f"https://cs.nyu.edu/~roweis/data/{FILE}"
# checksum of the 1965 × 560 bytes in row-major order
SHA256 = "2438ba4f0d2a6bd8bac43de756141eaa33c8d248dd613d464bdb1210d9b7af78"
TRAIN_SIZE = 1600
SPLIT_SEED = 0


class FreyFace(Source):
    """1965 frames of one face, 28×20 grey values, unlabelled.

    The paper gives no split. Here a fixed permutation gives 1600 training and 365 test images.

    Args:
        root: The folder that holds `frey_rawface.mat`.
    """

    def __init__(self, root: str) -> None:
        self.root = Path(root).expanduser()

    def describe(self) -> Info:
        """Say what the images are. This reads nothing."""
        return Info((1, 28, 20), sizes={"train": TRAIN_SIZE, "test": 1965 - TRAIN_SIZE})

    def load(self) -> Splits:
        """Read all frames and split them.

        Raises:
            DataError: The file is missing and cannot be downloaded, or it is damaged or a different file.
        """
        path = self.root / FILE
        if not path.exists():
            download(path)
        pixels = read(path)[permutation(1965, SPLIT_SEED)]
        images = Images(pixels, torch.full((len(pixels),), -1))
        return Splits(images[:TRAIN_SIZE], images[TRAIN_SIZE:])


def read(path: Path) -> Tensor:
    """Read all frames from the file, uint8 (1965, 1, 28, 20).

    Raises:
        DataError: The file is damaged or a different file.
    """
    try:
        frames = np.ascontiguousarray(loadmat(path)["ff"].T)
    except Exception as error:  # SciPy's reader raises many kinds of errors for a damaged file
        raise DataError(
            f"{path.absolute()} is cut short or is not {FILE} ({error}); delete it and try again"
        ) from error
    if frames.shape != (1965, 560) or hashlib.sha256(frames.tobytes()).hexdigest() != SHA256:
        raise DataError(f"{path.absolute()} has the wrong checksum: it is not {FILE} of {ADDRESS}")
    return torch.from_numpy(frames).view(-1, 1, 28, 20)


def download(path: Path, address: str = ADDRESS) -> None:
    """Download the file to `path`.

    Raises:
        DataError: The file cannot be downloaded or written.
    """
    part = path.with_name(f"{FILE}.{secrets.token_hex(4)}.part")  # many jobs may start at once
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with urllib.request.urlopen(address, timeout=20) as response, part.open("wb") as file:
                shutil.copyfileobj(response, file)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(
            f"{FILE} is not in paths.data={path.parent} and could not be downloaded ({error}). Get it from {address}, "
            f"put it into {path.parent.absolute()}, or point paths.data (VAE_EXP_DATA) at the folder that holds it"
        ) from error
