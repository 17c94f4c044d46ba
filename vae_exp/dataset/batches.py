"""Whole batches from images that lie in the device's memory: no per-image Python, no workers."""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from vae_exp.data_parallel import Share
from vae_exp.dataset.base import Images, shuffled
from vae_exp.dataset.binarization import dynamic

Batch = tuple[Tensor, Tensor]
"""Images (B, C, H, W) float32 in [0, 1] and labels (B,) int64."""

TrainingBatch = tuple[Tensor, Tensor, Tensor, Tensor | None]
"""The same, which of the training images they are, (B,) int64, and what each counts for, (B,), or None: all alike."""


class Passes:
    """Shuffled passes over some images, one after another: which ones come depends on seed and position alone.

    Args:
        index: The images' numbers, (N,) int64.
        seed: Of the shuffles.
    """

    def __init__(self, index: Tensor, *seed: int) -> None:
        self.index = index
        self._seed = seed
        self._passes: dict[int, Tensor] = {}

    def between(self, start: int, stop: int) -> Tensor:
        """The images from position `start` to position `stop`, (stop − start,) int64."""
        n = len(self.index)
        pieces = [self._pass(i)[max(start - i * n, 0) : stop - i * n] for i in range(start // n, (stop - 1) // n + 1)]
        return pieces[0] if len(pieces) == 1 else torch.cat([self.index[:0], *pieces])

    def _pass(self, i: int) -> Tensor:
        """The order of the i-th pass, kept until another one is asked for."""
        if i not in self._passes:
            seed = int(np.random.SeedSequence((*self._seed, i)).generate_state(1)[0])
            self._passes = {i: self.index[shuffled(len(self.index), seed).to(self.index.device)]}
        return self._passes[i]


class TrainingStream:
    """Shuffled passes over the images, one after another: which images come next depends on seed and position alone.

    Batches are full also where a pass ends inside one; only the last one of the budget may be smaller. They come in
    executions of several batches, each made when it is asked for.

    With `labelled_per_batch`, images with and without a label have passes of their own: every batch begins with so
    many of the former. `importance` tells what each image then counts for, by the labels of the whole batch.

    `undivided` batches are served whole, also the one that the span begins in and the one that it ends in.

    Args:
        images: All training images.
        binarize: uint8 pixels to floats in [0, 1].
        batch_size: Images per batch.
        start: How many images were served before; a resumed run goes on here.
        stop: The budget, in images.
        seed: Of the shuffles.
        batches_per_execution: How many batches at most.
        goals: Positions at which an execution has to end, with the batch that reaches them; sorted.
        repeats: How often a batch is served before the next one; each time counts.
        labelled_per_batch: How many images of a batch have a label; 0 draws from all images alike.
        share: Which images of a batch are served, where other processes serve the others.
        undivided: Whether a part of a batch means nothing.
    """

    def __init__(
        self,
        images: Images,
        binarize: Callable[[Tensor], Tensor],
        batch_size: int,
        start: int,
        stop: int,
        seed: int,
        batches_per_execution: int = 1,
        goals: Sequence[int] = (),
        repeats: int = 1,
        labelled_per_batch: int = 0,
        share: Share | None = None,
        undivided: bool = False,
    ) -> None:
        self.share = share or Share()
        self.images = images
        self.binarize = binarize
        self.draws = binarize is dynamic
        self.batch_size = batch_size
        self.repeats = repeats
        self.labelled_per_batch = labelled_per_batch
        self.undivided = undivided
        self._span = start - start % batch_size if undivided else start, stop
        self._batches_per_execution = batches_per_execution
        self._goals = [*goals, stop]
        known = (images.labels >= 0) if labelled_per_batch else torch.zeros_like(images.labels, dtype=torch.bool)
        self._labelled = Passes(known.nonzero()[:, 0], seed, 1)
        self._others = Passes((~known).nonzero()[:, 0], seed)
        self._labelled_share = len(self._labelled.index) / len(images)

    def __iter__(self) -> Iterator["Execution"]:
        spans = _executions(*self._span, self.batch_size, self._batches_per_execution, self._goals)
        return (Execution(self, start, stop) for start, stop in spans)

    def batch(self, position: int, count: int) -> TrainingBatch:
        """The batch of so many images from this position on, or this process's share of it."""
        whole = self._index(position, self.batch_size if self.undivided else count)
        index = self.share.of(whole)
        some = self.images[index]
        return self.binarize(some.pixels), some.labels, index, self._counts(whole)

    def serve(self, index: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
        """Images, labels and counts of K whole batches that are known already, (K, B), read in one go."""
        some = self.images[index.flatten()]
        pixels, labels = some.pixels.unflatten(0, index.shape), some.labels.unflatten(0, index.shape)
        # what is drawn is drawn batch by batch, as the random numbers of the updates come between
        images = map(self.binarize, pixels) if self.draws else self.binarize(pixels)
        return zip(images, labels, map(self._counts, index), strict=True)

    def block(self, position: int, batches: int) -> Tensor:
        """Which images so many whole batches hold, (K, B)."""
        if self.repeats == 1 and not self.labelled_per_batch:
            return self._others.between(position, position + batches * self.batch_size).view(batches, -1)
        starts = range(position, position + batches * self.batch_size, self.batch_size)
        return torch.stack([self._index(start, self.batch_size) for start in starts])

    def _counts(self, whole: Tensor) -> Tensor | None:
        """What the images of this share of a batch count for."""
        if not self.labelled_per_batch:
            return None
        return self.share.of(importance(self.images.labels[whole], self._labelled_share))

    def _index(self, position: int, count: int) -> Tensor:
        """Which images are served at so many positions of the stream, from this one on."""
        repeated, within = position // (self.batch_size * self.repeats), position % self.batch_size
        start = repeated * self.batch_size + within  # in the passes
        stop = start + count
        if not self.labelled_per_batch:
            return self._others.between(start, stop)
        first, last = self._labelled_before(start), self._labelled_before(stop)
        labelled, others = self._labelled.between(first, last), self._others.between(start - first, stop - last)
        return torch.cat([labelled, others])

    def _labelled_before(self, position: int) -> int:
        """How many of the images before a position are labelled ones: of every batch the first."""
        batches, within = divmod(position, self.batch_size)
        return batches * self.labelled_per_batch + min(within, self.labelled_per_batch)


class Execution:
    """Some batches of the stream, one after another, alone or in blocks; each is served once.

    Args:
        stream: Whose.
        start: Position of the first image.
        stop: Position behind the last one.
    """

    def __init__(self, stream: TrainingStream, start: int, stop: int) -> None:
        self._stream, self._position, self._stop = stream, start, stop

    def __iter__(self) -> Iterator[TrainingBatch]:
        while self._position < self._stop:
            position, count = self._position, min(self._stream.batch_size, self._stop - self._position)
            self._position += count
            yield self._stream.batch(position, count)

    def blocks(self, batches: int) -> Iterator[Tensor]:
        """The images (K, B) of so many whole batches at a time, as long as there are so many left."""
        images = batches * self._stream.batch_size
        while self._position + images <= self._stop:
            position = self._position
            self._position += images
            yield self._stream.block(position, batches)


def importance(y: Tensor, labelled_share: float) -> Tensor:
    """What an image of a batch counts for, (B,), so that weighted means over batches estimate the training set's mean.

    A batch holds more of the labelled images than the training set does, in proportion: each counts for the share of
    its kind in the training set over that in the batch.

    Args:
        y: The labels of the whole batch, also where several processes share it, (B,), −1 where unknown.
        labelled_share: Of the training images, in [0, 1].
    """
    known = y >= 0
    labelled = known.to(torch.get_default_dtype()).mean()
    # a rest of a batch may have images of one kind only
    return torch.where(known, labelled_share / labelled, (1 - labelled_share) / (1 - labelled))


def _executions(
    start: int, stop: int, batch_size: int, most_batches: int, goals: Sequence[int]
) -> Iterator[tuple[int, int]]:
    """From which position to which one each execution goes."""
    position = start
    for goal in goals:
        batches = math.ceil((min(goal, stop) - position) / batch_size)
        for first in range(0, batches, most_batches):
            last = min(first + most_batches, batches)
            yield position + first * batch_size, min(position + last * batch_size, stop)
        position = max(position, min(position + batches * batch_size, stop))


class EvaluationBatches:
    """Every image of a split once, in order.

    Args:
        images: The split.
        binarize: uint8 pixels to floats in [0, 1].
        batch_size: Images per batch; the last one may be smaller.
        levels: How many values a pixel can have.
    """

    def __init__(
        self, images: Images, binarize: Callable[[Tensor], Tensor], batch_size: int, levels: int = 256
    ) -> None:
        self.images = images
        self.binarize = binarize
        self.batch_size = batch_size
        self.levels = levels

    def __len__(self) -> int:
        return math.ceil(len(self.images) / self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        for start in range(0, len(self.images), self.batch_size):
            some = self.images[start : start + self.batch_size]
            yield self.binarize(some.pixels), some.labels
