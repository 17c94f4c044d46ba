"""What the numbers of an array mean: levels, [0, 1] or the real line."""

import numpy as np
import pytest
import torch
from written import BYTES, loaded, npz, text

from vae_exp.dataset.arrays import Arrays


class TestValues:
    @pytest.mark.parametrize(
        ("array", "wanted", "values", "dtype"),
        [
            (BYTES, "auto", "levels", torch.uint8),
            (BYTES.astype(np.int64) % 256, "auto", "levels", torch.uint8),
            (BYTES > 100, "auto", "levels", torch.uint8),
            (BYTES.astype(">f8"), "levels", "levels", torch.uint8),
            (BYTES / 255, "auto", "unit", torch.float32),
            (BYTES, "real", "real", torch.float32),
            (BYTES - 3.5, "auto", "real", torch.float32),
        ],
    )
    def test_are_found_or_given(self, tmp_path, array, wanted, values, dtype):
        info, splits = loaded(npz(tmp_path, x_train=array, x_test=array[:2]), values=wanted)
        assert (info.values, splits.train.pixels.dtype) == (values, dtype)
        scale = 255 if array.dtype == bool else 1
        np.testing.assert_array_equal(
            splits.train.pixels[:, 0], (array * scale).astype(splits.train.pixels.numpy().dtype)
        )

    def test_of_all_splits_decide(self, tmp_path):
        assert loaded(npz(tmp_path, x=BYTES / 255, x_test=BYTES * 1.0))[0].values == "real"

    def test_of_integers_that_are_0_or_1_are_doubted(self, tmp_path, caplog):
        path = npz(tmp_path, x=BYTES % 2)
        assert loaded(path)[1].train.pixels.max() == 1
        assert "dataset.source.values=unit" in caplog.text
        caplog.clear()
        info, splits = loaded(path, values="unit")
        warned = [record for record in caplog.records if record.levelname == "WARNING"]
        assert (info.values, splits.train.pixels.max().item(), warned) == ("unit", 1.0, [])

    def test_are_read_once(self, tmp_path):
        source = Arrays(str(text(tmp_path, "a,b\n1,2\n3,4\n")))
        assert source.describe().values == "real"
        text(tmp_path, "a,b\n")
        assert source.load().train.pixels.sum() in (3, 7)  # the values that `describe` has read
