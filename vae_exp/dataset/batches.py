"""Batches of images, made without per-image Python code or worker processes."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import tee
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vae_exp.dataset.base import Images, permutation
from vae_exp.dataset.binarization import DRAWN
from vae_exp.dataset.host import HostImages
from vae_exp.dataset.serving import DEFAULT_SERVING, Serving
from vae_exp.dataset.shard import WHOLE_BATCH, Shard

Batch = tuple[Tensor, Tensor]
"""Images (B, C, H, W) float32 in [0, 1] and labels (B,) int64."""


class TrainingBatch(NamedTuple):
    """A batch of training images, or one process's shard of it.

    Attributes:
        x: Images (B, C, H, W) float32 in [0, 1].
        y: Labels (B,) int64.
        indices: The positions of the images in the training set, (B,) int64.
        weights: The weights of the images, (B,), or None if all weights are equal.
        size: The number of images in the whole batch.
        stop: The position in the stream after the batch, or the budget, if it ends inside the batch.
        complete: Whether the budget includes the whole batch. If not, a larger budget serves the batch again.
    """

    x: Tensor
    y: Tensor
    indices: Tensor
    weights: Tensor | None
    size: int
    stop: int
    complete: bool


class Passes:
    """An endless sequence of shuffled passes over some images. It depends only on the seed.

    Args:
        index: The positions of the images in the training set, (N,) int64.
        seed: The seed of the shuffles.
    """

    def __init__(self, index: Tensor, *seed: int) -> None:
        self.index = index
        self._seed = seed
        self._passes: dict[int, Tensor] = {}

    def between(self, start: int, stop: int) -> Tensor:
        """Return the images at the positions from `start` to `stop` in the sequence, (stop − start,) int64."""
        n = len(self.index)
        parts = [self._pass(i)[max(start - i * n, 0) : stop - i * n] for i in range(start // n, (stop - 1) // n + 1)]
        return parts[0] if len(parts) == 1 else torch.cat([self.index[:0], *parts])

    def _pass(self, i: int) -> Tensor:
        """Return the order of the i-th pass. It is cached until another pass is needed."""
        if i not in self._passes:
            seed = int(np.random.SeedSequence((*self._seed, i)).generate_state(1)[0])
            self._passes = {i: self.index[permutation(len(self.index), seed).to(self.index.device)]}
        return self._passes[i]


class TrainingStream:
    """Training batches from shuffled passes over the images. The next images depend only on the seed and position.

    A batch is full even if a pass ends inside it; only the last batch of the budget may be smaller. Batches are
    grouped into executions of several batches, and each batch is made when it is requested.

    With `serving.labelled`, there are separate passes over images with and without a label, and every batch starts
    with this number of labelled images. Then `importance_weights` computes the weight of each image from the labels of
    the whole batch.

    Undivided batches are always served whole, even if `start` or `stop` lies inside them.

    Args:
        images: All training images.
        binarize: Maps pixels in memory to x.
        batch_size: Images per batch.
        start: How many images were served before; a resumed run continues here.
        stop: The budget, in images.
        seed: The seed of the shuffles.
        batches_per_execution: The largest number of batches in an execution.
        goals: Sorted positions. An execution must end with the batch that reaches one of them.
        serving: The form in which the model needs its batches.
        shard: The part of each batch that this process serves; other processes serve the rest.
    """

    def __init__(
        self,
        images: Images | HostImages,
        binarize: Callable[[Tensor], Tensor],
        batch_size: int,
        start: int,
        stop: int,
        seed: int,
        batches_per_execution: int = 1,
        goals: Sequence[int] = (),
        serving: Serving = DEFAULT_SERVING,
        shard: Shard = WHOLE_BATCH,
    ) -> None:
        self.shard = shard
        self.images = images
        self.binarize = binarize
        self.draws = binarize in DRAWN
        self.batch_size = batch_size
        self.serving = serving
        self._span = start - start % batch_size if serving.undivided else start, stop
        self._batches_per_execution = batches_per_execution
        self._goals = [*goals, stop]
        known = (images.labels >= 0) if serving.labelled else torch.zeros_like(images.labels, dtype=torch.bool)
        self._labelled = Passes(known.nonzero()[:, 0], seed, 1)
        self._others = Passes((~known).nonzero()[:, 0], seed)
        self._labelled_share = len(self._labelled.index) / len(images)

    @property
    def on_device(self) -> bool:
        """Whether all images lie on the device that trains, so that `serve` can read many at once."""
        return isinstance(self.images, Images)

    def __iter__(self) -> Iterator["Execution"]:
        spans = _executions(*self._span, self.batch_size, self._batches_per_execution, self._goals)
        return (Execution(self, start, stop) for start, stop in spans)

    def batches(self, spans: Iterable[tuple[int, int]]) -> Iterator[TrainingBatch]:
        """Yield the batches at these positions, or this process's shards of them.

        Args:
            spans: The position of the first image of each batch, and how many of its images the budget includes. An
                undivided batch is whole even if these are fewer.
        """
        chosen, also_chosen = tee(self._chosen(position, count) for position, count in spans)
        read = self.images.ahead(self.shard.select(whole) for whole, *_ in chosen)
        for images, (whole, stop, complete) in zip(read, also_chosen, strict=True):
            x, index = self.binarize(images.pixels), self.shard.select(whole)
            yield TrainingBatch(x, images.labels, index, self._weights(whole), len(whole), stop, complete)

    def _chosen(self, position: int, count: int) -> tuple[Tensor, int, bool]:
        """Return the images of a batch, the position after it, and whether the budget includes all of it."""
        size = self.batch_size if self.serving.undivided else count
        return self._index(position, size), position + count, count == size

    def serve(self, index: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
        """Read the images `index` (K, B) of K whole batches at once; yield each batch's images, labels and weights."""
        block = self.images[index.flatten()]
        pixels, labels = block.pixels.unflatten(0, index.shape), block.labels.unflatten(0, index.shape)
        # what draws random numbers must go batch by batch, because updates draw random numbers in between
        images = map(self.binarize, pixels) if self.draws else self.binarize(pixels)
        return zip(images, labels, map(self._weights, index), strict=True)

    def block(self, position: int, batches: int) -> Tensor:
        """Return the images of K = `batches` whole batches from this position on, (K, B)."""
        if self.serving.repeats == 1 and not self.serving.labelled:
            return self._others.between(position, position + batches * self.batch_size).view(batches, -1)
        starts = range(position, position + batches * self.batch_size, self.batch_size)
        return torch.stack([self._index(start, self.batch_size) for start in starts])

    def _weights(self, whole: Tensor) -> Tensor | None:
        """Compute the weights of this shard's images of a batch."""
        if not self.serving.labelled:
            return None
        weights = importance_weights(self.images.labels[whole], self._labelled_share)
        return self.shard.select(weights).to(self.images.device)

    def _index(self, position: int, count: int) -> Tensor:
        """Return the images at `count` positions of the stream, from this position on."""
        batch, within = position // (self.batch_size * self.serving.repeats), position % self.batch_size
        start = batch * self.batch_size + within  # position in the passes
        stop = start + count
        if not self.serving.labelled:
            return self._others.between(start, stop)
        first, last = self._labelled_before(start), self._labelled_before(stop)
        labelled, others = self._labelled.between(first, last), self._others.between(start - first, stop - last)
        return torch.cat([labelled, others])

    def _labelled_before(self, position: int) -> int:
        """Count the labelled images before a position; they come first in every batch."""
        batches, within = divmod(position, self.batch_size)
        return batches * self.serving.labelled + min(within, self.serving.labelled)


class Execution:
    """Several consecutive batches of the stream, served one by one or in blocks. Each batch is served once.

    Args:
        stream: The stream of the batches.
        start: The position of the first image.
        stop: The position after the last image.
    """

    def __init__(self, stream: TrainingStream, start: int, stop: int) -> None:
        self._stream, self._position, self._stop = stream, start, stop

    def __iter__(self) -> Iterator[TrainingBatch]:
        for batch in self._stream.batches(self._spans()):
            self._position = batch.stop
            yield batch

    def _spans(self) -> Iterator[tuple[int, int]]:
        """Yield the position of each batch that has not been served, and its number of images."""
        for position in range(self._position, self._stop, self._stream.batch_size):
            yield position, min(self._stream.batch_size, self._stop - position)

    def blocks(self, batches: int) -> Iterator[Tensor]:
        """Yield the images (K, B) of K = `batches` whole batches at a time, while at least K batches are left."""
        images = batches * self._stream.batch_size
        while self._position + images <= self._stop:
            position = self._position
            self._position += images
            yield self._stream.block(position, batches)


def importance_weights(y: Tensor, labelled_share: float) -> Tensor:
    """Compute the weights of a batch's images, (B,), so that its weighted mean estimates the training set's mean.

    The proportion of labelled images is larger in a batch than in the training set. The weight of a labelled image is
    the share of labelled images in the training set, divided by their share in the batch. For unlabelled images it is
    the same with their shares.

    Args:
        y: The labels of the whole batch, even if several processes share it, (B,), −1 where unknown.
        labelled_share: The share of labelled images in the training set, in [0, 1].
    """
    known = y >= 0
    labelled = known.to(torch.get_default_dtype()).mean()
    # a shortened batch may have images of one kind only
    return torch.where(known, labelled_share / labelled, (1 - labelled_share) / (1 - labelled))


def _executions(
    start: int, stop: int, batch_size: int, most_batches: int, goals: Sequence[int]
) -> Iterator[tuple[int, int]]:
    """Yield the start and stop positions of each execution."""
    position = start
    for goal in goals:
        batches = math.ceil((min(goal, stop) - position) / batch_size)
        for first in range(0, batches, most_batches):
            last = min(first + most_batches, batches)
            yield position + first * batch_size, min(position + last * batch_size, stop)
        position = max(position, min(position + batches * batch_size, stop))


class EvaluationBatches:
    """Batches that hold every image of a split once, in order.

    Args:
        images: The images of the split.
        binarize: Maps pixels in memory to x.
        batch_size: Images per batch; the last batch may be smaller.
        step: The distance between two of the 256 levels of a pixel; None if pixels have other values.
        log_jacobian: What log p(x) in the original units of the pixels is above log p of x, in nats per image.
    """

    def __init__(
        self,
        images: Images | HostImages,
        binarize: Callable[[Tensor], Tensor],
        batch_size: int,
        step: float | None = 1 / 255,
        log_jacobian: float = 0.0,
    ) -> None:
        self.images = images
        self.binarize = binarize
        self.batch_size = batch_size
        self.step = step
        self.log_jacobian = log_jacobian

    def __len__(self) -> int:
        return math.ceil(len(self.images) / self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        starts = range(0, len(self.images), self.batch_size)
        for images in self.images.ahead(slice(start, start + self.batch_size) for start in starts):
            yield self.binarize(images.pixels), images.labels
