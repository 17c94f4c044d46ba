"""What the images of a run were: their number, and checksums that tell whether other images are the same."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from vae_exp.config.assembly import build_data
from vae_exp.dataset.base import Images, Splits, Values
from vae_exp.errors import UserError
from vae_exp.results.run import Run

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


@dataclass(frozen=True)
class RunImages:
    """What the images of a run are.

    Args:
        values: The values that a pixel can have; None if the images are not there.
        fingerprints: Those of the source's splits, before anything is chosen or changed; empty without the images.
        missing: Why the images are not there; empty if they are.
    """

    values: Values | None
    fingerprints: Mapping[str, Fingerprint]
    missing: str = ""


def images_of(run: Run) -> RunImages:
    """Read all images of a run's source. They may be on another machine, or have been objects in memory."""
    try:
        data = build_data(run.config, objects=run.objects)
        loaded = data.source.load()
    except UserError as error:
        return RunImages(None, {}, " ".join(str(error).split()))
    prints = {split: _fingerprint(images) for split, images in _splits(loaded).items()}
    return RunImages(data.info.values, prints)


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
