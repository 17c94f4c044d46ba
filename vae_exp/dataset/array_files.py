"""Files with named arrays: the readers of .npz, .npy, .pt and .h5. A table (`tables.py`) is such a file too."""

import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib import format as npy
from numpy.typing import NDArray
from torch import Tensor

from vae_exp.errors import DataError, UserError, needs_extra

Array = NDArray[Any]

ONLY = "array"
"""The name of the array in a file that holds a single one."""


@dataclass(frozen=True)
class Header:
    """What a file says of an array before its values are read.

    Args:
        rows: The length N of the first axis; None if only reading the values can tell.
        item: The lengths of the other axes.
        dtype: The type of the values.
    """

    rows: int | None
    item: tuple[int, ...]
    dtype: np.dtype[Any]

    def __str__(self) -> str:
        sizes = ", ".join(["N" if self.rows is None else str(self.rows), *map(str, self.item)])
        return f"({sizes}{'' if self.item else ','}) {self.dtype}"


class ArrayFile(ABC):
    """A file with arrays by name.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @abstractmethod
    def headers(self) -> dict[str, Header]:
        """Return the header of every array, without reading values where the file allows that.

        Raises:
            DataError: The file cannot be read.
        """

    @abstractmethod
    def read(self, name: str) -> Array:
        """Read one array.

        Raises:
            DataError: The file cannot be read, or the array holds Python objects.
        """


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn every error of a reader into one message that names the file.

    Raises:
        DataError: The file is damaged, or it is of another kind than its name says.
    """
    try:
        yield
    except UserError:
        raise
    except MemoryError as error:
        raise DataError(f"{path}: is too large for the memory of this machine") from error
    except Exception as error:  # on damaged bytes the readers raise exceptions of any kind
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(f"{path}: is damaged or is no {path.suffix} file ({reason})") from error


class Npy(ArrayFile):
    """One array in NumPy's format. It is mapped into memory, not read."""

    def headers(self) -> dict[str, Header]:
        """Read the header of the array."""
        with readable(self.path), self.path.open("rb") as file:
            return {ONLY: _npy_header(file)}

    def read(self, name: str) -> Array:
        """Map the array into memory. Pages are read when they are used, and the file is never changed."""
        with readable(self.path):
            _refuse_objects(self.path, name, self.headers()[name])
            array: Array = np.load(self.path, mmap_mode="r", allow_pickle=False)
            return array


class Npz(ArrayFile):
    """Arrays in NumPy's zip format, compressed or not."""

    def headers(self) -> dict[str, Header]:
        """Read the headers in the zip file. This decompresses only the beginning of a compressed array."""
        headers = {}
        with readable(self.path), zipfile.ZipFile(self.path) as archive:
            for member in archive.namelist():
                if member.endswith(".npy"):
                    with archive.open(member) as file:
                        headers[member.removesuffix(".npy")] = _npy_header(file)
        return headers

    def read(self, name: str) -> Array:
        """Read and decompress one array."""
        with readable(self.path), np.load(self.path, allow_pickle=False) as archive:
            _refuse_objects(self.path, name, self.headers()[name])
            array: Array = archive[name]
            return array


class TorchFile(ArrayFile):
    """A tensor, a pair (x, y), or a dict of tensors (it may hold further dicts), saved by `torch.save`."""

    def headers(self) -> dict[str, Header]:
        """Return the headers of the tensors, whose values are mapped into memory."""
        return {name: _header(_plain(self.path, name, tensor)) for name, tensor in self._tensors().items()}

    def read(self, name: str) -> Array:
        """Map one tensor into memory."""
        return _plain(self.path, name, self._tensors()[name])

    def _tensors(self) -> dict[str, Tensor]:
        with readable(self.path):
            mapped = zipfile.is_zipfile(self.path)  # files older than torch 1.6 cannot be mapped
            loaded = torch.load(self.path, map_location="cpu", weights_only=True, mmap=mapped)
        if isinstance(loaded, Tensor):
            return {ONLY: loaded}
        if isinstance(loaded, tuple | list) and len(loaded) == 2:
            loaded = dict(zip(("x", "y"), loaded, strict=True))
        tensors = dict(_leaves(loaded)) if isinstance(loaded, Mapping) else {}
        if not tensors:
            raise DataError(f"{self.path}: a tensor, a pair (x, y) or a dict of tensors is needed")
        return tensors


class Hdf5(ArrayFile):
    """Datasets in an HDF5 file. The name of a dataset in a group is its path, such as `train/images`."""

    def headers(self) -> dict[str, Header]:
        """Read the shapes and types of all datasets."""
        headers: dict[str, Header] = {}
        h5py = _h5py(self.path)

        def note(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset) and item.shape:
                headers[name] = Header(item.shape[0], tuple(item.shape[1:]), item.dtype)

        with readable(self.path), h5py.File(self.path, "r") as file:
            file.visititems(note)
        return headers

    def read(self, name: str) -> Array:
        """Read one dataset. Texts are decoded."""
        h5py = _h5py(self.path)
        with readable(self.path), h5py.File(self.path, "r") as file:
            dataset = file[name]
            if h5py.check_string_dtype(dataset.dtype) is not None:
                return np.asarray(dataset.asstr()[...], dtype=str)
            _refuse_objects(self.path, name, self.headers()[name])
            return np.asarray(dataset[...])


def _h5py(path: Path) -> Any:
    try:
        import h5py
    except ImportError as error:
        raise DataError(needs_extra(f"dataset.source.path={path}", "hdf5")) from error
    return h5py


def _npy_header(file: Any) -> Header:
    """Read the header at the start of an array in NumPy's format."""
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    version = npy.read_magic(file)
    shape, _, dtype = readers.get(version, npy.read_array_header_2_0)(file)  # 3.0 differs in the names of fields only
    return _shaped(shape, dtype)


def _header(array: Array) -> Header:
    return _shaped(array.shape, array.dtype)


def _shaped(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Header:
    return Header(shape[0] if shape else 1, tuple(shape[1:]), dtype)


def _refuse_objects(path: Path, name: str, header: Header) -> None:
    if header.dtype.hasobject:
        raise DataError(f"{path}: {name} holds Python objects, which are never unpickled. Save numbers or texts")


def _plain(path: Path, name: str, tensor: Tensor) -> Array:
    """Convert a dense tensor to an array that shares its memory, if NumPy has its type."""
    if tensor.layout != torch.strided or tensor.is_quantized:
        raise DataError(f"{path}: {name} is no dense tensor")
    tensor = tensor.detach()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()


def _leaves(node: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}/")
        elif isinstance(value, Tensor):
            yield f"{prefix}{key}", value


READERS: dict[str, type[ArrayFile]] = {
    ".npz": Npz,
    ".npy": Npy,
    ".pt": TorchFile,
    ".pth": TorchFile,
    ".h5": Hdf5,
    ".hdf5": Hdf5,
}
"""The readers of files with arrays by suffix."""
