"""Find the images and labels of each split among the named arrays of a file."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from vae_exp.dataset.array_files import Header
from vae_exp.dataset.tables import shortened
from vae_exp.errors import ConfigError, DataError, nearest_first

IMAGES = ("x", "images", "image", "imgs", "img", "data", "features", "inputs", "pixels", "samples")
LABELS = ("y", "labels", "label", "targets", "target", "classes", "class")
SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "val", "valid"),
    "test": ("test", "testing"),
}


@dataclass(frozen=True)
class Given:
    """The names of a split's arrays that the config gives; None where it gives none."""

    images: str | None
    labels: str | None


@dataclass(frozen=True)
class Names:
    """The names of a split's arrays in a file; None if it has no labels."""

    images: str
    labels: str | None


def find(headers: Mapping[str, Header], given: Mapping[str, Given], path: Path) -> dict[str, Names]:
    """Find the arrays of every split that a file has.

    A name that the config gives is taken. Otherwise the names are found by convention, whatever their case and
    punctuation are: `x_train`, `train_images`, `train/data`, `y_test`; for the training split also `train`, `x`,
    `images`, `labels`. If a file has a single array that can hold images, that is the training split.

    Args:
        headers: The arrays of the file.
        given: The names that the config gives, by split.
        path: The file.

    Returns:
        The names by split, `train` always, `validation` and `test` if there are such images.

    Raises:
        ConfigError: A given name does not exist, or no images are found.
        DataError: The file holds no arrays.
    """
    if not headers:
        raise DataError(f"{path}: holds no arrays")
    names = {}
    for split in SPLITS:
        images = _given(headers, given[split].images, split, path) or _conventional(headers, IMAGES, split)
        labels = _given(headers, given[split].labels, f"{split}_labels", path)
        if images is None and split == "train":
            images = _only(headers, path)
        if images is not None:
            names[split] = Names(images, labels or _conventional(headers, LABELS, split))
        elif labels is not None:
            raise ConfigError(f"dataset.source.{split}_labels={labels}: {path.name} has no {split} images")
    return names


def _given(headers: Mapping[str, Header], name: str | None, key: str, path: Path) -> str | None:
    if name is None or name in headers:
        return name
    ordered = nearest_first(name, headers)
    raise ConfigError(
        f"dataset.source.{key}={name}: {path.name} has no such array. Did you mean {ordered[0]}? "
        f"It has {shortened(ordered)}"
    )


def _conventional(headers: Mapping[str, Header], words: tuple[str, ...], split: str) -> str | None:
    plain = {_plain(name): name for name in reversed([*headers])}
    return next((plain[name] for name in _candidates(words, split) if name in plain), None)


def _candidates(words: tuple[str, ...], split: str) -> Iterator[str]:
    """Yield the conventional names, the most telling ones first."""
    for word in words:
        for alias in SPLITS[split]:
            yield from (f"{word}{alias}", f"{alias}{word}")
    if words is IMAGES:
        yield from SPLITS[split]
    if split == "train":
        yield from words


def _only(headers: Mapping[str, Header], path: Path) -> str:
    """Return the only array, or the only one that can hold images because it has a second axis.

    Raises:
        ConfigError: There is none, or there are several.
    """
    able = [name for name, header in headers.items() if header.item] if len(headers) > 1 else [*headers]
    if len(able) == 1:
        return able[0]
    described = shortened([f"{name} {header}" for name, header in headers.items()])
    raise ConfigError(f"dataset.source.train: which array of {path.name} holds the images? It has {described}")


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
