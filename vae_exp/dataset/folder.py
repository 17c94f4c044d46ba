"""Images of the user's own: a folder of image files."""

import hashlib
import logging
import os
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Annotated, Literal

import torch
from annotated_types import Interval, MinLen
from pydantic import NonNegativeInt, PositiveInt

from vae_exp.dataset.base import Images, Info, Source, Splits
from vae_exp.dataset.cache import Entry, content_key, find, write
from vae_exp.dataset.decode import VERSION, Header, Pixels, Unreadable, in_parallel, read_header, read_pixels
from vae_exp.dataset.tree import FORMATS, File, Tree, by_suffix, find_images, printable
from vae_exp.errors import DataError
from vae_exp.lock import locked

log = logging.getLogger(__name__)

MOST_UNREADABLE = 3
"""Up to this number of unreadable files are left out with a warning; more are an error."""

OTHER_IMAGES = (".gif", ".heic", ".heif", ".avif", ".jp2", ".ppm", ".pgm", ".svg", ".tga", ".psd", ".ico")
"""Suffixes of image files that are not read."""

Shape = tuple[int, int, int]


class Folder(Source):
    """PNG, JPEG, BMP, TIFF and WebP files in a folder.

    Folders named `train`, `validation` (or `val`) and `test` are splits. Without them, a part of the images, of each
    class alike, is the test split. Folders below are classes; without them, images have no labels.

    The images are decoded once, into a file of uint8 pixels that is mapped into memory. It is used as long as the
    names, sizes and modification times of the files, and the arguments, stay the same.

    Args:
        path: The folder.
        cache: The folder in which decoded images are kept.
        size: [H, W]. Each image is resized so that it covers this size, and its centre is cut out. None demands that
            all images have the same size.
        channels: 1 for grey, 3 for colours. None is 1 if all files are grey, otherwise 3.
        test_fraction: The part of the images that is the test split if no folder is named `test`.
        split_seed: The seed for the choice of these images. The seed of the training has no effect on it.
    """

    def __init__(
        self,
        path: Annotated[str, MinLen(1)],
        cache: str,
        size: tuple[PositiveInt, PositiveInt] | None = None,
        channels: Literal[1, 3] | None = None,
        test_fraction: Annotated[float, Interval(gt=0, lt=1)] = 0.1,
        split_seed: NonNegativeInt = 0,
    ) -> None:
        self.root = Path(path).expanduser()
        self.cache = Path(cache).expanduser()
        self.size = None if size is None else (size[0], size[1])
        self.channels = channels
        self.test_fraction = test_fraction
        self.split_seed = split_seed

    def describe(self) -> Info:
        """Say what the images are. Names of files are read, and headers only if `size` or `channels` is None.

        The sizes of the splits count files that turn out to be unreadable.

        Raises:
            DataError: The folder is missing, its content is not allowed, or too many files are unreadable.
        """
        tree = self._find()
        sizes = Counter(file.split for file in tree.files)
        return Info(self._shape(tree), tree.class_names, sizes=dict(sizes))

    def load(self) -> Splits:
        """Decode the images, unless this was done before, and map their pixels into memory.

        Raises:
            DataError: As in `describe`; or the cache cannot be written.
        """
        tree = self._find()
        entry = self._entry(tree)
        for name, reason in entry.left_out.items():
            log.warning("%s cannot be read (%s) and is left out", self.root / printable(name), reason)
        kept = replace(tree, files=tuple(file for file in tree.files if file.name not in entry.left_out))
        self._check_kept(tree, kept, entry)
        self._log(kept)
        return _splits(kept, tree.class_names, entry)

    def _find(self) -> Tree:
        """Find the images and give each a split. Each split is in a random order of its own."""
        tree = find_images(self.root)
        files = tree.files if any(file.split for file in tree.files) else self._divided(tree.files)
        order = ("test", "train", "validation").index
        return replace(tree, files=tuple(sorted(files, key=lambda file: (order(file.split), self._draw(file)))))

    def _divided(self, files: Sequence[File]) -> list[File]:
        """Divide the images of each class into training and test images."""
        by_class: dict[str, list[File]] = {}
        for file in files:
            by_class.setdefault(file.label, []).append(file)
        divided = []
        for label, members in by_class.items():
            if len(members) == 1:
                whole = f"the class {label}" if label else "the folder"
                raise DataError(
                    f"dataset.source.path={self.root}: {whole} has only one image ({printable(members[0].name)}), "
                    "which cannot be in both splits: add images, or make the folders train and test"
                )
            members.sort(key=self._draw)
            size = min(max(1, round(self.test_fraction * len(members))), len(members) - 1)
            divided += [replace(file, split="test" if i < size else "train") for i, file in enumerate(members)]
        return divided

    def _draw(self, file: File) -> bytes:
        """Draw a random number that depends only on the name, so that new images hardly change the choice."""
        return hashlib.blake2b(f"{self.split_seed}/".encode() + os.fsencode(file.name), digest_size=16).digest()

    def _key(self, tree: Tree) -> str:
        names = [file.name for file in tree.files]
        return content_key(self.root, names, VERSION, self.size, self.channels)

    def _shape(self, tree: Tree) -> Shape:
        if self.size is not None and self.channels is not None:
            return self.channels, *self.size
        key = self._key(tree)
        entry = find(self._home(key))
        if entry is not None:
            return entry.shape[1:]
        return _shape_by_headers(key, self.root, tree, self.size, self.channels)

    def _home(self, key: str) -> Path:
        return self.cache / "folders" / key

    def _entry(self, tree: Tree) -> Entry:
        """Return the decoded images, which one of several jobs decodes while the others wait."""
        home = self._home(self._key(tree))
        entry = self._valid(home)
        if entry is not None:
            return entry
        shape = self._shape(tree)
        left_out: dict[str, str] = {}
        images = self._decode([file.name for file in tree.files], shape, left_out)
        try:
            with locked(home.with_suffix(".lock"), wait=True), closing(images):
                return self._valid(home) or write(home, images, shape, left_out)
        except OSError as error:
            raise DataError(
                f"paths.cache={self.cache}: the decoded images cannot be written there ({error}); choose another folder"
            ) from error

    def _valid(self, home: Path) -> Entry | None:
        """Return an entry whose unreadable files are still so; a repaired permission does not change the key."""
        entry = find(home)
        if entry is None or not entry.left_out:
            return entry
        read = partial(read_pixels, channels=entry.shape[1], size=self.size)
        with in_parallel(read, [self.root / name for name in entry.left_out], "Trying unreadable files") as results:
            return entry if all(isinstance(result, Unreadable) for result in results) else None

    def _decode(self, names: Sequence[str], shape: Shape, left_out: dict[str, str]) -> Generator[Pixels]:
        """Yield the decoded images, and add those that cannot be read to `left_out`."""
        read = partial(read_pixels, channels=shape[0], size=self.size)
        with in_parallel(read, [self.root / name for name in names], f"Decoding {self.root.name}") as images:
            for name, image in zip(names, images, strict=True):
                if isinstance(image, Unreadable):
                    left_out[name] = image.reason
                    _check_few(self.root, left_out)
                elif image.shape != shape:  # its header was read before the file was changed
                    path = self.root / printable(name)
                    raise DataError(f"{path}: {image.shape} is not {shape}: it was changed just now")
                else:
                    yield image

    def _check_kept(self, tree: Tree, kept: Tree, entry: Entry) -> None:
        """Check that no split, and no class of the training split, has lost all its images."""
        left = {place for file in kept.files for place in _places(file)}
        for split, label in sorted({place for file in tree.files for place in _places(file)} - left):
            of_class = f" in the class {label}" if label else ""
            raise DataError(
                f"dataset.source.path={self.root}: {split} has no readable image{of_class}: {_listed(entry.left_out)}"
            )

    def _log(self, tree: Tree) -> None:
        sizes = Counter(file.split for file in tree.files)
        classes = f"{len(tree.class_names)} classes ({', '.join(tree.class_names[:10])}"
        classes = f"{classes}{', …' if len(tree.class_names) > 10 else ''})" if tree.class_names else "no classes"
        log.info("%s: %s images, %s", self.root, ", ".join(f"{n:,} {name}" for name, n in sizes.items()), classes)
        if tree.ignored:
            log.info("%s: ignored %s, which are no images", self.root, by_suffix(tree.ignored))
        for name in tree.empty:
            log.warning("%s holds no image and is no class", self.root / printable(name))
        if others := [name for name in tree.ignored if name.lower().endswith(OTHER_IMAGES)]:
            log.warning("%s: %s are not read, only %s files", self.root, by_suffix(others), FORMATS)
        for split in sizes.keys() - {"train"}:
            if missing := {*tree.class_names} - {file.label for file in tree.files if file.split == split}:
                log.warning("%s: %s has no image of %s", self.root, split, ", ".join(sorted(missing)[:10]))


def _places(file: File) -> list[tuple[str, str]]:
    """Return the split of a file, and its class in the training split: places that must not be empty."""
    return [(file.split, ""), *([(file.split, file.label)] if file.split == "train" else [])]


@lru_cache(maxsize=4)
def _shape_by_headers(key: str, root: Path, tree: Tree, size: tuple[int, int] | None, channels: int | None) -> Shape:
    """Find the shape of the decoded images. Headers are read once in a process, as long as the key stays the same."""
    names = sorted(file.name for file in tree.files)
    headers: dict[str, Header] = {}
    left_out: dict[str, str] = {}
    with in_parallel(read_header, [root / name for name in names], f"Reading headers of {root.name}") as results:
        for name, result in zip(names, results, strict=True):
            if isinstance(result, Unreadable):
                left_out[name] = result.reason
                _check_few(root, left_out)
            else:
                headers[name] = result
    if not headers:
        raise DataError(f"dataset.source.path={root}: has no readable image: {_listed(left_out)}")
    height, width = size or _common_size(root, headers)
    return channels or (1 if all(header.grey for header in headers.values()) else 3), height, width


def _common_size(root: Path, headers: dict[str, Header]) -> tuple[int, int]:
    first, *others = headers
    height, width = headers[first].height, headers[first].width
    for name in others:
        other = headers[name]
        if (other.height, other.width) != (height, width):
            raise DataError(
                f"{root / printable(name)}: has {other.height}×{other.width} pixels (height × width), and "
                f"{printable(first)} has {height}×{width}. dataset.source.size=[{height},{width}] makes all alike"
            )
    return height, width


def _check_few(root: Path, left_out: dict[str, str]) -> None:
    if len(left_out) > MOST_UNREADABLE:
        raise DataError(
            f"dataset.source.path={root}: more than {MOST_UNREADABLE} images cannot be read: {_listed(left_out)}. "
            "Repair or remove them"
        )


def _listed(left_out: Mapping[str, str]) -> str:
    return ", ".join(f"{printable(name)} ({reason})" for name, reason in left_out.items())


def _splits(tree: Tree, class_names: Sequence[str], entry: Entry) -> Splits:
    """Cut the pixels into splits, which are consecutive, so that nothing is copied."""
    index = {name: i for i, name in enumerate(class_names)}
    labels = torch.tensor([index.get(file.label, -1) for file in tree.files])
    images = Images(entry.pixels(), labels, on_disk=True)
    splits: dict[str, Images] = {}
    start = 0
    for split, size in Counter(file.split for file in tree.files).items():
        splits[split] = images[start : start + size]
        start += size
    return Splits(splits["train"], splits["test"], splits.get("validation"))
