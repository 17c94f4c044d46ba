"""Images from tensors and arrays in memory."""

import hashlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import Tensor

from vae_exp.dataset.array_files import Array, ArrayFile, Header
from vae_exp.dataset.array_names import Given
from vae_exp.dataset.array_values import AT_ONCE, Layout
from vae_exp.dataset.base import Info, Source, Splits, Values
from vae_exp.dataset.named_arrays import NamedArrays
from vae_exp.errors import DataError

SPLITS = ("train", "validation", "test")
NOWHERE = Path("data")
"""What stands for the name of a file in messages."""


class Tensors(Source):
    """Images or rows of numbers from tensors, NumPy arrays, or anything that NumPy takes for an array.

    Images are (N, H, W), (N, C, H, W) or (N, H, W, C); rows are (N, D) and become images of the shape (1, 1, D). The
    arrays must not change while they are used.

    Args:
        images: The training images; or arrays by name, in which all splits are found as in an .npz file.
        labels: Their labels (N,): integers or texts; −1, NaN and an empty text stand for unknown labels.
        validation: The validation images.
        validation_labels: Their labels.
        test: The test images. Without them, they are drawn from the training images.
        test_labels: Their labels.
        test_fraction: The share of images that is drawn for the test split.
        split_seed: The seed of this draw.
        layout: Which axis of images with four axes is the channels; None takes the one of length 1 or 3.
        values: The values of the pixels: `levels` (0 to 255, divided by 255), `unit` (floats in [0, 1]) or `real`.
            `auto`: integers are levels; floats are unit if all of them lie in [0, 1], else real.
        standardise: Whether every pixel is standardised by its mean and standard deviation over the training images.

    Raises:
        DataError: An array is none.
    """

    def __init__(
        self,
        images: Any,
        labels: Any = None,
        *,
        validation: Any = None,
        validation_labels: Any = None,
        test: Any = None,
        test_labels: Any = None,
        test_fraction: float = 0.2,
        split_seed: int = 0,
        layout: Layout | None = None,
        values: Literal["auto"] | Values = "auto",
        standardise: bool = False,
    ) -> None:
        named = dict(images) if isinstance(images, Mapping) else {"train": images}
        named |= {"train_labels": labels, "validation": validation, "validation_labels": validation_labels}
        named |= {"test": test, "test_labels": test_labels}
        present = {str(name): _array(str(name), value) for name, value in named.items() if value is not None}
        self._file = _InMemory(present)
        given = {split: Given(None, None) for split in SPLITS}
        self._arrays = NamedArrays(
            NOWHERE, lambda: self._file, given, test_fraction, split_seed, layout, values, standardise
        )

    @cached_property
    def description(self) -> str:
        """The sizes, types and SHA-256 of the arrays: other arrays have another description."""
        sizes = ", ".join(f"{name} {header}" for name, header in self._file.headers().items())
        return f"{sizes}; SHA-256 {self._file.digest()}"

    def describe(self) -> Info:
        """Say what the images are.

        Raises:
            DataError: An array cannot hold images, or there are more or fewer labels than images.
            ConfigError: It is not clear which array holds the images, or which axis the channels.
        """
        return self._arrays.describe()

    def load(self) -> Splits:
        """Return all images.

        Raises:
            DataError: As `describe`, or a value is not allowed.
            ConfigError: As `describe`.
        """
        return self._arrays.load()


class _InMemory(ArrayFile):
    """Arrays by name, as in a file."""

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        super().__init__(NOWHERE)
        self._arrays = arrays

    def headers(self) -> dict[str, Header]:
        """Return the header of every array."""
        return {name: Header(len(array), array.shape[1:], array.dtype) for name, array in self._arrays.items()}

    def read(self, name: str) -> Array:
        """Return one array."""
        return self._arrays[name]

    def digest(self) -> str:
        """Compute the SHA-256 of all names, types, shapes and values."""
        digest = hashlib.sha256()
        for name, array in self._arrays.items():
            digest.update(f"{name} {array.dtype} {array.shape}".encode())
            flat = array.reshape(-1)
            for start in range(0, flat.size, AT_ONCE):
                digest.update(flat[start : start + AT_ONCE].tobytes())
        return digest.hexdigest()


def _array(name: str, value: Any) -> Array:
    """Return a tensor, or what NumPy takes for an array, as an array of at least one axis."""
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        value = (value if value.dtype.itemsize > 2 or not value.is_floating_point() else value.float()).numpy()
    try:
        return np.ascontiguousarray(value)
    except ValueError as error:  # rows of different lengths
        raise DataError(f"{NOWHERE}: {name} is no array: {error}") from error
