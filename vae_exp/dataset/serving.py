"""How a model wants its training images served."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Serving:
    """How batches are to be served.

    Args:
        full: Whether a batch is all training images.
        repeats: How often a batch is served before the next one; each time counts as a training sample.
        labelled: How many images of a batch have a label, where some have none; 0 draws from all images alike.
    """

    full: bool = False
    repeats: int = 1
    labelled: int = 0

    @property
    def undivided(self) -> bool:
        """Whether a part of a batch is of no use: it is all images, or it is served several times."""
        return self.full or self.repeats > 1


ALIKE = Serving()
"""Batches of `batch_size` images, served once, drawn from all images alike."""


@dataclass(frozen=True)
class Counts:
    """The numbers of training images that the weights of a loss depend on.

    Args:
        images: All training images, N.
        labelled: Those with a label, N_l.
    """

    images: int
    labelled: int
