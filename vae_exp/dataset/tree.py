"""Find the images in a folder, with their splits and classes, by their names. No file is opened."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from vae_exp.errors import DataError

SPLITS = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}
"""The names of folders that are splits, in lower case."""

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
"""The suffixes of image files, in lower case."""

FORMATS = "PNG, JPEG, BMP, TIFF and WebP"
ALLOWED = "Images lie in the folder itself or in one folder per class; train, validation and test may lie above"

Level = tuple[list[str], list[str]]
"""The sorted names of the folders and of the image files in a folder."""

LIKE_SPLITS = {"training": "train", "valid": "validation", "dev": "validation", "testing": "test"}
"""Names that people give to splits, and the names that are read here."""


@dataclass(frozen=True)
class File:
    """An image file.

    Args:
        name: Its path relative to the root, with slashes.
        split: `train`, `validation` or `test`; empty if the folders name no splits.
        label: The name of its class; empty if it has none.
    """

    name: str
    split: str = ""
    label: str = ""


@dataclass(frozen=True)
class Tree:
    """The images in a folder, sorted by name.

    Args:
        files: The image files.
        ignored: Names of files and folders that are no images, such as README.txt or .DS_Store.
        empty: Names of folders without any image.
    """

    files: tuple[File, ...]
    ignored: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()

    @property
    def class_names(self) -> tuple[str, ...]:
        """The sorted names of the classes; empty if the images have no labels."""
        return tuple(sorted({file.label for file in self.files if file.label}))


def find_images(root: Path) -> Tree:
    """Find the images in a folder.

    A single class folder is no class: a label that all images share says nothing.

    Raises:
        DataError: The folder is missing, holds no image, or its folders are not what `ALLOWED` says; a link leads back
            to a folder above it; or a class has no training image.
    """
    scan = _Scan(root)
    folders, images = scan.level()
    splits = {name: SPLITS[name.lower()] for name in folders if name.lower() in SPLITS}
    _check_names(scan, folders)
    if splits:
        _check_splits(scan, splits, [name for name in folders if name not in splits], images)
        files = [file for name in splits for file in scan.group(splits[name], scan.level(name), name)]
    else:
        files = scan.group("", (folders, images))
    tree = Tree(tuple(sorted(files, key=lambda file: file.name)), tuple(scan.ignored), tuple(scan.empty))
    _check_filled(scan, tree, splits)
    _check_classes(scan, tree)
    if len(tree.class_names) == 1:
        return replace(tree, files=tuple(replace(file, label="") for file in tree.files))
    return tree


def by_suffix(names: Iterable[str]) -> str:
    """Count files by their suffix, such as `2 .txt, 1 .DS_Store`."""
    counts = Counter(PurePosixPath(name).suffix or PurePosixPath(name).name for name in names)
    return ", ".join(f"{count:,} {printable(suffix)}" for suffix, count in counts.most_common(8))


def printable(name: str) -> str:
    """Return a file name without bytes that are not UTF-8 and without line breaks, for messages and class names."""
    return os.fsencode(name).decode("utf-8", "backslashreplace").replace("\n", "\\n")


class _Scan:
    """Reads the names in a folder, and remembers what is no image.

    Args:
        root: The folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.ignored: list[str] = []
        self.empty: list[str] = []

    def error(self, message: str) -> DataError:
        """Return an error about the folder."""
        return DataError(f"dataset.source.path={self.root}: {message}")

    def level(self, *parts: str) -> Level:
        """Return the sorted names of the folders and of the image files in a folder."""
        self._check_no_loop(parts)
        try:
            with os.scandir(self.root.joinpath(*parts)) as entries:
                kinds = {entry.name: _is_folder(entry) for entry in entries}
        except OSError as error:
            where = printable("/".join(parts)) or "the folder"
            raise self.error(f"{where} cannot be read: {error.strerror}") from error
        visible = [name for name in sorted(kinds) if not name.startswith(".") and name != "__MACOSX"]
        folders = [name for name in visible if kinds[name]]
        images = [name for name in visible if not kinds[name] and name.lower().endswith(SUFFIXES)]
        self.ignored += ["/".join((*parts, name)) for name in sorted(kinds.keys() - {*folders, *images})]
        return folders, images

    def group(self, split: str, level: Level, *parts: str) -> list[File]:
        """Return the images of a split: those in its folder, or in the class folders in it."""
        folders, images = level
        files = [File("/".join((*parts, image)), split) for image in images]
        for label in folders:
            inner, own = self.level(*parts, label)
            if inner:
                raise self._too_deep((*parts, label, inner[0]), alone=len(folders) == 1 and not (own or images))
            if own and images:
                loose, classed = printable("/".join((*parts, images[0]))), printable("/".join((*parts, label)))
                raise self.error(f"{loose} lies beside the class folder {classed}: does it have a class? {ALLOWED}")
            if not own:
                self.empty.append("/".join((*parts, label)))
            shown = printable(label)
            files += [File("/".join((*parts, label, image)), split, shown) for image in own]
        return files

    def _too_deep(self, parts: Sequence[str], alone: bool) -> DataError:
        nearest = f". Did you mean dataset.source.path={self.root.joinpath(*parts[:-1])}?" if alone else ""
        return self.error(f"the folder {printable('/'.join(parts))} lies too deep. {ALLOWED}{nearest}")

    def _check_no_loop(self, parts: Sequence[str]) -> None:
        try:
            folders = [self.root.joinpath(*parts[:i]).stat() for i in range(len(parts) + 1)]
        except OSError as error:
            raise self.error(f"{_fault(self.root)}. {ALLOWED}") from error
        places = [(folder.st_dev, folder.st_ino) for folder in folders]
        if places[-1] in places[:-1]:
            raise self.error(f"{printable('/'.join(parts))} is a link to a folder above it")


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _fault(root: Path) -> str:
    if not os.path.lexists(root):
        return "there is no such folder"
    return "is a link to nothing" if root.is_symlink() else "cannot be read"


def _check_names(scan: _Scan, folders: list[str]) -> None:
    """Refuse folders whose names are all those of splits, but not as they are written here."""
    wrong = [name for name in folders if name.lower() in LIKE_SPLITS]
    if wrong and all(name.lower() in SPLITS.keys() | LIKE_SPLITS.keys() for name in folders):
        raise scan.error(f"the folder {wrong[0]} looks like a split: rename it to {LIKE_SPLITS[wrong[0].lower()]}")


def _check_splits(scan: _Scan, splits: dict[str, str], others: list[str], images: list[str]) -> None:
    """Check that the split folders are complete, and that no image lies beside them."""
    names = ", ".join(splits)
    for other in others:
        if any(scan.level(other)):
            raise scan.error(f"the folder {printable(other)} lies beside {names}, which are splits: rename or move it")
        scan.empty.append(other)
    if images:
        raise scan.error(f"{printable(images[0])} lies beside {names}, which are splits: move it into one of them")
    twice = [name for name, split in splits.items() if list(splits.values()).count(split) > 1]
    if twice:
        raise scan.error(f"the folders {' and '.join(twice)} are the same split: keep one of them")
    for split in ("train", "test"):
        if split not in splits.values():
            raise scan.error(
                f"there are folders for splits ({names}), but none named {split}. Without any such folder, "
                "dataset.source.test_fraction of the images are the test split"
            )


def _check_filled(scan: _Scan, tree: Tree, splits: dict[str, str]) -> None:
    """Check that there are images, and that each split has some."""
    if not tree.files:
        others = f"; it holds {by_suffix(scan.ignored)}" if scan.ignored else ""
        raise scan.error(f"holds no image{others}. {FORMATS} files are read")
    for name, split in splits.items():
        if not any(file.split == split for file in tree.files):
            raise scan.error(f"the folder {name} holds no image")


def _check_classes(scan: _Scan, tree: Tree) -> None:
    """Check that all splits have labels or none has, and that no class is missing in the training split."""
    by_split: dict[str, set[str]] = {}
    for file in tree.files:
        by_split.setdefault(file.split, set()).add(file.label)
    for split, labels in by_split.items():
        if ("" in labels) != ("" in by_split.get("train", labels)):
            flat, classed = (split, "train") if "" in labels else ("train", split)
            raise scan.error(f"the images of {classed} lie in class folders, and those of {flat} do not")
        if new := sorted(labels - by_split.get("train", labels)):
            known = ", ".join(sorted(by_split["train"])[:20])
            raise scan.error(f"{split} has the class {new[0]}, which train does not have. Classes of train: {known}")
