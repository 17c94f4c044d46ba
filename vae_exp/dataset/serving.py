"""The form in which a model needs its training batches."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Serving:
    """The form in which a model needs its training batches.

    Args:
        full: Whether every batch contains all training images.
        repeats: Number of times that each batch is served. Each image counts as a training sample each time.
        labelled: Number of images with a label in each batch. 0 draws from all images, with or without a label.
    """

    full: bool = False
    repeats: int = 1
    labelled: int = 0

    @property
    def undivided(self) -> bool:
        """Whether the model needs whole batches: they contain all images, or are served several times."""
        return self.full or self.repeats > 1


DEFAULT_SERVING = Serving()
"""Batches of `batch_size` images, drawn from all images and served once."""


@dataclass(frozen=True)
class Counts:
    """The numbers of training images that the weights of a loss depend on.

    Args:
        images: All training images, N.
        labelled: Training images with a label, N_l.
    """

    images: int
    labelled: int
