"""Which arrays of a file are images and labels, of which split."""

import numpy as np
import pytest
import torch
from written import BYTES, ROWS, hdf5, loaded, npz, pt


class TestNames:
    @pytest.mark.parametrize(
        ("names", "found"),
        [
            (["x_train", "y_train", "x_test", "y_test"], {"train": True, "test": True}),
            (["train_images", "train_labels", "test_images", "val_data"], {"train": True, "test": False, "val": False}),
            (["X", "target"], {"train": True}),
            (["data", "labels"], {"train": True}),
            (["something"], {"train": False}),
            (["testX", "trainY", "trainX"], {"train": True, "test": False}),
        ],
    )
    def test_are_found_by_convention(self, tmp_path, names, found):
        arrays = {
            name: np.arange(10) % 2 if any(word in name.lower() for word in ("y", "label", "target")) else BYTES
            for name in names
        }
        info, splits = loaded(npz(tmp_path, **arrays))
        assert (splits.validation is not None) == ("val" in found)
        assert (len(splits.train) == 10) == ("test" in found)
        assert info.classes == (2 if found["train"] else 0)
        assert bool((splits.train.labels >= 0).all()) == found["train"]

    def test_may_be_given(self, tmp_path):
        path = npz(tmp_path, a=BYTES, b=BYTES[:3], c=np.arange(3), x_train=ROWS)
        _, splits = loaded(path, train="a", test="b", test_labels="c")
        assert torch.equal(splits.test.pixels[:, 0], torch.from_numpy(BYTES[:3]))
        assert splits.test.labels.tolist() == [0, 1, 2]
        assert (splits.train.labels == -1).all()

    def test_of_groups_and_of_nested_dicts(self, tmp_path):
        y = np.array([b"cat", b"dog"] * 5)
        info, splits = loaded(hdf5(tmp_path, train__images=BYTES, train__labels=y, test__images=BYTES[:2]))
        assert (info.class_names, len(splits.train), len(splits.test)) == (("cat", "dog"), 10, 2)
        value = {
            "train": {"x": torch.rand(5, 2, 2).bfloat16(), "y": torch.arange(5)},
            "test": {"x": torch.ones(1, 2, 2)},
        }
        info, splits = loaded(pt(tmp_path, value))
        assert (info.classes, info.values, splits.train.pixels.dtype) == (5, "unit", torch.float32)
        info, splits = loaded(pt(tmp_path, (torch.zeros(6, 3), torch.arange(6) % 2)))
        assert (info.shape, info.classes) == ((1, 1, 3), 2)
