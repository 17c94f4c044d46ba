"""The test images of a page: those that can be chosen, and how bright their pixels are."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vae_exp.figures.images import brightness
from vae_exp.results.run import Run

MOST_IMAGES = 200
MOST_BYTES = 600_000
"""The images that can be chosen: at most this many, and this many bytes."""

FEWEST_IMAGES = 12
"""As many images can be chosen however large they are."""


@dataclass(frozen=True)
class Examples:
    """The first test images.

    Attributes:
        images: The images (N, C, H, W) in the units of the dataset.
        labels: Their labels (N,), −1 where unknown.
        names: The names of the classes; empty if the images have no labels.
        scale: The brightness of a pixel x is scale·x + offset: 0 is black and 1 is white.
        offset: The brightness of a pixel that is 0.
    """

    images: Tensor
    labels: Tensor
    names: tuple[str, ...]
    scale: float
    offset: float

    @classmethod
    def of(cls, run: Run) -> "Examples":
        """Take the first test images of a run, as its model sees them.

        Raises:
            UserError: The images of the run are not there.
        """
        channels, height, width = run.model.shape
        count = max(FEWEST_IMAGES, min(MOST_IMAGES, MOST_BYTES // (channels * height * width)))
        with repeatable(run):
            ((x, y),) = run.data.evaluation_batches("test", count, count)
        x = x.cpu()  # those of a run on a GPU are there
        images = x if run.standardisation is None else run.standardisation.invert(x).float()
        dark, light = brightness(images)(torch.tensor([0.0, 1.0])).tolist()
        return cls(images, y.cpu(), run.data.info.class_names, light - dark, dark)

    def brightness(self, images: Tensor) -> Tensor:
        """Return how bright the pixels of images are."""
        return self.scale * images + self.offset

    def as_data(self) -> dict[str, Any]:
        """Return the images, with 256 levels of brightness, and all else as plain data for JSON."""
        levels = (255 * self.brightness(self.images)).round().clamp(0, 255).to(torch.uint8)
        return {
            "shape": list(self.images.shape[1:]),
            "count": len(self.images),
            "levels": base64.b64encode(levels.numpy().tobytes()).decode(),
            "labels": self.labels.tolist(),
            "names": list(self.names),
            "scale": self.scale,
            "offset": self.offset,
        }


@contextmanager
def repeatable(run: Run) -> Iterator[None]:
    """Draw what is random from one seed: pixels that are drawn, the search for codes without an encoder."""
    device = run.data.splits["test"].labels.device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(0)
        yield
