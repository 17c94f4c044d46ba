"""Images that stay in host memory or on disk while a model is trained on them."""

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

from vae_exp.dataset.base import Images


class HostImages:
    """Images in host memory or in a memory-mapped file. Each batch is copied to the device when it is needed.

    Args:
        pixels: Pixels (N, C, H, W), uint8 or float32, in host memory or memory-mapped.
        labels: Labels of the images that `rows` names, (M,) int64, in host memory.
        device: The device to which batches are copied.
        rows: The positions of the images in `pixels`, (M,) int64; None for all of them, in order.
    """

    def __init__(self, pixels: Tensor, labels: Tensor, device: torch.device, rows: Tensor | None = None) -> None:
        self.labels = labels
        self.device = device
        self._pixels = pixels
        self._rows = rows

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Tensor | slice) -> Images:
        """Read images and copy them to the device."""
        return self._read(index).to(self.device, non_blocking=True)

    def select(self, index: Tensor | slice) -> "HostImages":
        """Return some of the images, without reading them."""
        rows = torch.arange(len(self)) if self._rows is None else self._rows
        return HostImages(self._pixels, self.labels[index], self.device, rows[index])

    def with_labels(self, labels: Tensor) -> "HostImages":
        """Return the same images with other labels (M,)."""
        return HostImages(self._pixels, labels, self.device, self._rows)

    def to(self, device: torch.device) -> "HostImages":
        """Return the images as they are: they stay where they lie."""
        return self

    def ahead(self, indices: Iterable[Tensor | slice]) -> Iterator[Images]:
        """Read the images of each index. A thread reads the next ones while the caller works with these."""
        thread = ThreadPoolExecutor(max_workers=1)
        try:
            coming: Future[Images] | None = None
            for index in indices:
                ready, coming = coming, thread.submit(self._read, index)
                if ready is not None:
                    yield ready.result().to(self.device, non_blocking=True)
            if coming is not None:
                yield coming.result().to(self.device, non_blocking=True)
        finally:  # an abandoned iterator may be closed in any thread, even in this one, which cannot wait for itself
            thread.shutdown(wait=False, cancel_futures=True)

    def _read(self, index: Tensor | slice) -> Images:
        """Read images into host memory, from which a GPU can copy them while it computes."""
        rows = index if self._rows is None else self._rows[index]
        if isinstance(rows, slice):
            return Images(self._pixels[rows], self.labels[index])
        shape = (len(rows), *self._pixels.shape[1:])
        pixels = torch.empty(shape, dtype=self._pixels.dtype, pin_memory=self.device.type == "cuda")
        torch.index_select(self._pixels, 0, rows, out=pixels)
        return Images(pixels, self.labels[index])
