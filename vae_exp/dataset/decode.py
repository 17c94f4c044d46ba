"""Decode image files with Pillow, in parallel. A file that cannot be read becomes a value that says why."""

import os
import stat
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from vae_exp.dataset.tree import FORMATS

T = TypeVar("T")
Pixels = npt.NDArray[np.uint8]

VERSION = 1
"""Raise this number whenever the decoded pixels change, so that no older cache is used."""

PILLOW_FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
GREY_MODES = ("1", "L", "LA", "La", "I;16", "I;16B", "I;16L")
TURNED = (5, 6, 7, 8)
"""The EXIF orientations that exchange height and width."""

AT_ONCE = 512
"""Files that are handed to the threads together."""


@dataclass(frozen=True)
class Unreadable:
    """A file that cannot be read.

    Args:
        reason: Why, as a clause.
    """

    reason: str


@dataclass(frozen=True)
class Header:
    """What an image file says before its pixels: the height and width in pixels, and whether it has no colours."""

    height: int
    width: int
    grey: bool


def read_header(path: Path) -> Header:
    """Read the header of an image file. Its size is that after the EXIF orientation is obeyed.

    Raises:
        Exception: The file cannot be read; Pillow raises many kinds.
    """
    with _opened(path) as image:
        width, height = image.size
        # Pillow itself exchanges the size of a TIFF; its `getexif` would decode the pixels of a PNG
        if image.format != "TIFF" and _orientation(image) in TURNED:
            width, height = height, width
        return Header(height, width, _is_grey(image))


def read_pixels(path: Path, channels: int, size: tuple[int, int] | None) -> Pixels:
    """Decode an image file.

    The first frame is read, and the EXIF orientation is obeyed. Transparent pixels are put on white. 16-bit greys are
    scaled to 8 bits. Colours become grey by ITU-R 601 luma. Colour profiles have no effect.

    Args:
        path: The file.
        channels: 1 for grey, 3 for red, green and blue.
        size: (H, W). The image is resized so that it covers this size, and the centre is cut out. None keeps its size.

    Returns:
        The pixels (C, H, W).

    Raises:
        Exception: The file cannot be read; Pillow raises many kinds.
    """
    with _opened(path) as file:
        file.load()
        image = _converted(ImageOps.exif_transpose(file), channels)
    if size is not None:  # bilinear, with antialiasing: sharper filters draw dark and bright rings around edges
        image = ImageOps.fit(image, (size[1], size[0]), Image.Resampling.BILINEAR)
    pixels = np.asarray(image)
    return np.ascontiguousarray(pixels[None] if channels == 1 else pixels.transpose(2, 0, 1))


@contextmanager
def in_parallel(read: Callable[[Path], T], paths: Sequence[Path], title: str) -> Iterator[Iterator[T | Unreadable]]:
    """Read files in threads; provide the results in order. On a terminal, show a progress bar.

    The threads end with the context, also if not all results were taken.

    Args:
        read: Reads one file. Whatever it raises says why the file cannot be read.
        paths: The files.
        title: What the bar says.
    """

    def attempt(path: Path) -> T | Unreadable:
        try:
            return read(path)
        except Exception as error:  # for damaged bytes Pillow raises exceptions of many kinds
            return Unreadable(_reason(error, path))

    def results() -> Iterator[T | Unreadable]:
        for start in range(0, len(paths), AT_ONCE):
            for result in pool.map(attempt, paths[start : start + AT_ONCE]):
                yield result
                bar.advance(task)

    with _pillow_warnings(), ThreadPoolExecutor(_cores()) as pool, _bar() as bar:
        task = bar.add_task(title, total=len(paths))
        try:
            yield results()
        finally:
            pool.shutdown(cancel_futures=True)


def _bar() -> Progress:
    console = Console()
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeRemainingColumn())
    # rich would take FORCE_COLOR for a terminal
    return Progress(*columns, console=console, disable=not console.file.isatty(), transient=True)


@contextmanager
def _pillow_warnings() -> Iterator[None]:
    """Refuse images with so many pixels that Pillow warns, and silence its other warnings."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    if not stat.S_ISREG(path.stat().st_mode):  # to open a pipe would wait for ever
        raise ValueError("it is no regular file")
    # Pillow 13 turns an uncompressed TIFF wrongly if it gets a name and not an open file
    with path.open("rb") as file, Image.open(file, formats=PILLOW_FORMATS) as image:
        if image.mode in ("I", "F"):
            raise ValueError("its pixels have 32 bits, of an unknown range: save them with 8 or 16 bits")
        yield image


def _orientation(image: Image.Image) -> int:
    exif = Image.Exif()
    exif.load(image.info.get("exif", b""))
    return int(exif.get(ExifTags.Base.Orientation, 1))


def _is_grey(image: Image.Image) -> bool:
    if image.mode == "P":
        palette = np.asarray(image.getpalette("RGB") or [], dtype=np.uint8).reshape(-1, 3)
        return bool((palette == palette[:, :1]).all())
    return image.mode in GREY_MODES


def _converted(image: Image.Image, channels: int) -> Image.Image:
    """Convert an image of any mode to the mode `L` or `RGB`."""
    if image.mode.startswith("I;16"):
        wide = np.asarray(image).astype(np.uint32)
        image = Image.fromarray(((wide * 255 + 32767) // 65535).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    if image.mode != "L":
        image = image.convert("L" if image.mode == "1" else "RGB")
    return image.convert("L" if channels == 1 else "RGB")


def _reason(error: Exception, path: Path) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "it is empty" if not path.stat().st_size else f"it is none of {FORMATS}"
    if isinstance(error, Image.DecompressionBombWarning | Image.DecompressionBombError):
        return f"it has more than {Image.MAX_IMAGE_PIXELS:,} pixels"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error) or type(error).__name__).splitlines()[0]


def _cores() -> int:
    """Return the number of cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on this platform
        return os.cpu_count() or 1
