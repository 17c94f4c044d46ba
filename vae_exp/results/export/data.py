"""What the images of a run were: their number, and checksums that tell whether other images are the same."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from vae_exp.dataset import Dataset
from vae_exp.dataset.base import Images, Splits
from vae_exp.errors import UserError

IMAGES_PER_READ = 1000
"""Number of images that are read at once: they may lie on disk and be larger than memory."""


@dataclass(frozen=True)
class Fingerprint:
    """What identifies the images of a split of a source.

    Args:
        images: The number of images.
        pixels: The SHA-256 of their pixels, row by row, uint8 or float.
        labels: The SHA-256 of their labels, int64.
    """

    images: int
    pixels: str
    labels: str


def fingerprints(data: Dataset) -> Mapping[str, Fingerprint] | str:
    """Read all images of a source and compute the fingerprint of each split, before anything is chosen or changed.

    Returns:
        The fingerprints by split, or the reason why the images cannot be read now.
    """
    try:
        loaded = data.source.load()
    except UserError as error:
        return " ".join(str(error).split())
    return {split: _fingerprint(images) for split, images in _splits(loaded).items()}


def _splits(loaded: Splits) -> dict[str, Images]:
    splits = {"train": loaded.train, "validation": loaded.validation, "test": loaded.test}
    return {name: images for name, images in splits.items() if images is not None and len(images)}


def _fingerprint(images: Images) -> Fingerprint:
    digest = hashlib.sha256()
    for start in range(0, len(images), IMAGES_PER_READ):
        few = slice(start, start + IMAGES_PER_READ)
        pixels = images.pixels[few] if images.rows is None else images.pixels[images.rows[few]]
        digest.update(pixels.contiguous().numpy().tobytes())
    return Fingerprint(len(images), digest.hexdigest(), hashlib.sha256(images.labels.numpy().tobytes()).hexdigest())
