"""Files of arrays as data sets."""

import numpy as np
import pytest
import torch
from images import write_idx
from written import BYTES, ROWS, loaded, npy, npz

from vae_exp.dataset import Dataset
from vae_exp.dataset.array_files import Npy
from vae_exp.dataset.arrays import Arrays
from vae_exp.dataset.fashion_mnist import FashionMNIST

CPU = torch.device("cpu")


class TestLayout:
    @pytest.mark.parametrize(
        ("shape", "layout", "expected"),
        [
            ((10, 8, 6), None, (1, 8, 6)),
            ((10, 3, 8, 6), None, (3, 8, 6)),
            ((10, 8, 6, 3), None, (3, 8, 6)),
            ((10, 8, 6, 1), None, (1, 8, 6)),
            ((10, 3, 8, 3), "NHWC", (3, 3, 8)),
            ((10, 2, 8, 6), "NCHW", (2, 8, 6)),
            ((10, 30), None, (1, 1, 30)),
        ],
    )
    def test_of_images_and_rows(self, tmp_path, shape, layout, expected):
        array = np.arange(np.prod(shape)).astype(np.uint8).reshape(shape)
        info, splits = loaded(npy(tmp_path, array), layout=layout, test_fraction=0.3)
        assert (info.shape, info.values, info.sizes) == (expected, "levels", {"train": 7, "test": 3})
        pixels = torch.cat([splits.train.pixels, splits.test.pixels])
        if shape[-1] == expected[0]:
            array = array.transpose(0, 3, 1, 2)
        images = {image.tobytes() for image in array.reshape(10, *expected)}
        assert {image.numpy().tobytes() for image in pixels} == images

    def test_a_large_npy_is_mapped_and_never_changed(self, tmp_path):
        path = npy(tmp_path, BYTES)
        array = Npy(path).read("array")
        assert isinstance(array, np.memmap)
        before = path.read_bytes()
        with pytest.raises(ValueError, match="read-only"):
            array[:] = 0
        assert path.read_bytes() == before


def test_a_split_is_seeded_and_never_shares_a_row(tmp_path):
    path = npy(tmp_path, ROWS)
    first, again, other = (Arrays(str(path), split_seed=seed).load() for seed in (0, 0, 1))
    assert torch.equal(first.test.pixels, again.test.pixels)
    assert not torch.equal(first.test.pixels, other.test.pixels)
    rows = {row.numpy().tobytes() for row in torch.cat([first.train.pixels, first.test.pixels])}
    assert rows == {row.tobytes() for row in ROWS.astype(np.float32)}


def test_arrays_and_idx_files_are_the_same_numbers(tmp_path):
    generator = torch.Generator().manual_seed(0)
    arrays = {}
    for split, name, n in (("train", "train", 40), ("test", "t10k", 20)):
        arrays[f"x_{split}"] = torch.randint(256, (n, 28, 28), generator=generator, dtype=torch.uint8)
        arrays[f"y_{split}"] = torch.arange(n) % 10
        write_idx(tmp_path / "FashionMNIST" / "raw" / f"{name}-images-idx3-ubyte", arrays[f"x_{split}"])
        write_idx(tmp_path / "FashionMNIST" / "raw" / f"{name}-labels-idx1-ubyte", arrays[f"y_{split}"])
    sources = [FashionMNIST(str(tmp_path)), Arrays(str(npz(tmp_path, **arrays)))]
    ours, theirs = (Dataset(source, train_size=30, validation_size=10, labels=10) for source in sources)
    for data in (ours, theirs):
        data.load(CPU)
    for split in ("train", "validation", "test"):
        assert torch.equal(ours.splits[split].pixels, theirs.splits[split].pixels)
        assert torch.equal(ours.splits[split].labels, theirs.splits[split].labels)
    assert (ours.info.shape, ours.info.values, ours.step) == (theirs.info.shape, theirs.info.values, theirs.step)
