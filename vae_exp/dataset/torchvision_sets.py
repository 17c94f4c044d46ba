"""Data sets that torchvision downloads and verifies, beside those in the format of MNIST."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import Image, ImageOps
from pydantic import PositiveInt
from torchvision import datasets

from vae_exp.dataset.base import Images, Info, Source, Splits
from vae_exp.dataset.cache import Entry, find, write
from vae_exp.dataset.decode import VERSION, Pixels, Unreadable, in_parallel
from vae_exp.dataset.idx import READING_ERRORS
from vae_exp.errors import DataError
from vae_exp.lock import locked

T = TypeVar("T")

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CELEBA_CROP = 148
"""The side of the square around the face that is cut out of the aligned images, as in Larsen et al. (2016)."""


class CIFAR10(Source):
    """50,000 training and 10,000 test photographs, 32×32 in colour, in ten classes (Krizhevsky 2009).

    Args:
        root: The folder that holds `cifar-10-batches-py`. If it is missing, it is downloaded.
    """

    def __init__(self, root: str) -> None:
        self.root = Path(root).expanduser()

    def describe(self) -> Info:
        """Say what the images are. This reads nothing."""
        return Info((3, 32, 32), CIFAR10_CLASSES, sizes={"train": 50_000, "test": 10_000})

    def load(self) -> Splits:
        """Read both official splits.

        Raises:
            DataError: The files are missing and cannot be downloaded, or they are damaged.
        """
        return Splits(self._images(train=True), self._images(train=False))

    def _images(self, train: bool) -> Images:
        part = fetch(partial(datasets.CIFAR10, self.root, train=train), self.root, "CIFAR10")
        pixels = torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous()
        return Images(pixels, torch.tensor(part.targets))


class SVHN(Source):
    """73,257 training and 26,032 test images of house numbers, 32×32 in colour, in ten classes (Netzer et al. 2011).

    Args:
        root: The folder that holds `train_32x32.mat` and `test_32x32.mat`. If they are missing, they are downloaded.
    """

    def __init__(self, root: str) -> None:
        self.root = Path(root).expanduser()

    def describe(self) -> Info:
        """Say what the images are. This reads nothing."""
        return Info((3, 32, 32), tuple("0123456789"), sizes={"train": 73_257, "test": 26_032})

    def load(self) -> Splits:
        """Read both official splits.

        Raises:
            DataError: The files are missing and cannot be downloaded, or they are damaged.
        """
        return Splits(self._images("train"), self._images("test"))

    def _images(self, split: str) -> Images:
        part = fetch(partial(datasets.SVHN, self.root, split=split), self.root, "SVHN")
        return Images(torch.from_numpy(part.data), torch.from_numpy(part.labels).long())


class Omniglot(Source):
    """19,280 training and 13,180 test images of handwritten characters (Lake et al. 2015).

    Ink is white on black here, as in MNIST. The test images show other characters than the training images, so that
    labels would have no meaning: there are none. Burda et al. (2016) divide the images in another way (24,345 and
    8,070), so that their numbers compare only approximately.

    Args:
        root: The folder that holds `omniglot-py`. If it is missing, it is downloaded.
        cache: The folder in which decoded images are kept.
        size: The height and width to which the images of 105×105 pixels are reduced.
    """

    def __init__(self, root: str, cache: str, size: PositiveInt = 28) -> None:
        self.root = Path(root).expanduser()
        self.cache = Path(cache).expanduser()
        self.size = size

    def describe(self) -> Info:
        """Say what the images are. This reads nothing."""
        return Info((1, self.size, self.size), sizes={"train": 19_280, "test": 13_180})

    def load(self) -> Splits:
        """Decode both official splits, unless this was done before.

        Raises:
            DataError: The files are missing and cannot be downloaded, or they are damaged.
        """
        return Splits(self._images(background=True), self._images(background=False))

    def _images(self, background: bool) -> Images:
        part = fetch(partial(datasets.Omniglot, self.root, background=background), self.root, "Omniglot")
        paths = sorted(Path(part.target_folder).glob("*/*/*.png"))
        name = f"Omniglot-{Path(part.target_folder).name}-{self.size}"
        entry = decoded(self.cache / name, paths, partial(read_ink, size=self.size), (1, self.size, self.size))
        return unlabelled(entry)


class CelebA(Source):
    """162,770 training, 19,867 validation and 19,962 test photographs of faces, in colour (Liu et al. 2015).

    The aligned images have 178×218 pixels. The centre of 148×148 pixels is cut out and reduced. The attributes of a
    face are not classes, so there are no labels.

    Args:
        root: The folder that holds `celeba`. If it is missing, it is downloaded, which needs the package gdown.
        cache: The folder in which decoded images are kept.
        size: The height and width of the reduced images.
    """

    def __init__(self, root: str, cache: str, size: PositiveInt = 64) -> None:
        self.root = Path(root).expanduser()
        self.cache = Path(cache).expanduser()
        self.size = size

    def describe(self) -> Info:
        """Say what the images are. This reads nothing."""
        sizes = {"train": 162_770, "validation": 19_867, "test": 19_962}
        return Info((3, self.size, self.size), sizes=sizes)

    def load(self) -> Splits:
        """Decode the three official splits, unless this was done before.

        Raises:
            DataError: The files are missing and cannot be downloaded, or they are damaged.
        """
        train, validation, test = map(self._images, ("train", "valid", "test"))
        return Splits(train, test, validation)

    def _images(self, split: str) -> Images:
        part = fetch(partial(datasets.CelebA, self.root, split=split), self.root, "CelebA")
        folder = self.root / part.base_folder / "img_align_celeba"
        paths = [folder / name for name in part.filename]
        read = partial(read_face, size=self.size)
        entry = decoded(self.cache / f"CelebA-{split}-{self.size}", paths, read, (3, self.size, self.size))
        return unlabelled(entry)


def fetch(dataset: Callable[..., T], root: Path, name: str) -> T:
    """Build a data set of torchvision. Download it first if it is missing; many jobs may start at once.

    Args:
        dataset: Builds it; takes the argument `download`.
        root: The folder of the files.
        name: The name of the data set.

    Raises:
        DataError: It is missing or damaged and cannot be downloaded.
    """
    try:
        return dataset(download=False)
    except READING_ERRORS:
        pass  # missing or damaged: torchvision downloads the files that do not have the right checksum
    try:
        root.mkdir(parents=True, exist_ok=True)
        with locked(root / f".{name}.lock", wait=True):
            return dataset(download=True)
    except (*READING_ERRORS, ImportError) as error:
        reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
        raise DataError(
            f"{name} is not in paths.data={root}, or is damaged there, and could not be downloaded ({reason}). Put it "
            "there as torchvision reads it, or point paths.data (VAE_EXP_DATA) at a folder that has it"
        ) from error


def decoded(home: Path, paths: Sequence[Path], read: Callable[[Path], Pixels], shape: tuple[int, int, int]) -> Entry:
    """Return the decoded images of some files. They are decoded once, while other jobs wait.

    Args:
        home: The folder for the decoded images.
        paths: The files.
        read: Decodes a file into pixels (C, H, W).
        shape: (C, H, W).

    Raises:
        DataError: A file cannot be read, or the decoded images cannot be written.
    """
    home = home.with_name(f"{home.name}-{len(paths)}-{VERSION}")
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        with locked(home.with_suffix(".lock"), wait=True):
            return find(home) or write(home, _all_readable(read, paths), shape, {})
    except OSError as error:
        raise DataError(
            f"paths.cache={home.parent}: the decoded images cannot be written there ({error}); choose another folder"
        ) from error


def unlabelled(entry: Entry) -> Images:
    """Return decoded images without labels."""
    return Images(entry.pixels(), torch.full((entry.shape[0],), -1), on_disk=True)


def read_ink(path: Path, size: int) -> Pixels:
    """Decode black ink on white as a grey image (1, size, size) of white ink on black."""
    with Image.open(path) as image:
        reduced = ImageOps.invert(image.convert("L")).resize((size, size), Image.Resampling.BOX)
    return np.asarray(reduced)[None]


def read_face(path: Path, size: int) -> Pixels:
    """Decode the centre of an aligned photograph, (3, size, size)."""
    with Image.open(path) as image:
        left, top = (image.width - CELEBA_CROP) // 2, (image.height - CELEBA_CROP) // 2
        face = image.convert("RGB").crop((left, top, left + CELEBA_CROP, top + CELEBA_CROP))
    return np.ascontiguousarray(np.asarray(face.resize((size, size), Image.Resampling.LANCZOS)).transpose(2, 0, 1))


def _all_readable(read: Callable[[Path], Pixels], paths: Sequence[Path]) -> Iterator[Pixels]:
    with in_parallel(read, paths, f"Decoding {len(paths):,} images") as images:
        for path, image in zip(paths, images, strict=True):
            if isinstance(image, Unreadable):
                raise DataError(f"{path} cannot be read ({image.reason}): delete it, so that it is downloaded again")
            yield image
