"""Files of arrays that tests write."""

import h5py
import numpy as np
import pyarrow as pa
import torch
from pyarrow import parquet

from vae_exp.dataset.arrays import Arrays

BYTES = np.arange(10 * 8 * 6, dtype=np.uint8).reshape(10, 8, 6)
ROWS = np.random.default_rng(0).normal(size=(10, 4))


def npz(path, **arrays):
    np.savez(path / "x.npz", **arrays)
    return path / "x.npz"


def npy(path, array):
    np.save(path / "x.npy", array)
    return path / "x.npy"


def hdf5(path, **arrays):
    with h5py.File(path / "x.h5", "w") as file:
        for name, array in arrays.items():
            file[name.replace("__", "/")] = array
    return path / "x.h5"


def pt(path, value):
    torch.save(value, path / "x.pt")
    return path / "x.pt"


def text(path, content, name="x.csv"):
    (path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return path / name


def table(path, **columns):
    parquet.write_table(pa.table(columns), path / "x.parquet")
    return path / "x.parquet"


def loaded(path, **arguments):
    source = Arrays(str(path), **arguments)
    return source.describe(), source.load()
