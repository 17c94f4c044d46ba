"""Labels of any kind become the numbers of classes."""

import numpy as np
import pytest
from written import ROWS, loaded, npz


class TestLabels:
    @pytest.mark.parametrize(
        ("labels", "classes", "numbers"),
        [
            (np.array([7, 3, -1, 10]), ("3", "7", "10"), [1, 0, -1, 2]),
            (np.array([[1.0], [np.nan], [0.0], [1.0]]), ("0", "1"), [1, -1, 0, 1]),
            (np.array(["dog", "", " cat", "dog"]), ("cat", "dog"), [1, -1, 0, 1]),
            (np.array([True, False, True, True]), ("0", "1"), [1, 0, 1, 1]),
        ],
        ids=["integers", "floats", "names", "booleans"],
    )
    def test_of_any_kind_are_numbered_in_order(self, tmp_path, labels, classes, numbers):
        info, splits = loaded(npz(tmp_path, x=ROWS[:4], y=labels, x_test=ROWS[:1]))
        assert info.class_names == classes
        assert splits.train.labels.tolist() == numbers

    def test_that_only_some_splits_have(self, tmp_path):
        info, splits = loaded(npz(tmp_path, x=ROWS, x_test=ROWS, y_test=np.arange(10) % 3))
        assert info.classes == 3
        assert (splits.train.labels == -1).all()
