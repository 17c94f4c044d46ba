"""Files with codes, read by other programs."""

import numpy as np
import pytest
import torch
from pyarrow import parquet

from vae_exp.errors import ConfigError
from vae_exp.evaluation.codes import Codes
from vae_exp.results.codes import check_codes_path, write_codes

CODES = Codes(torch.randn(5, 3) / 3, torch.randn(5, 3), torch.tensor([1, 0, -1, 1, 0]), None)


def written(path, codes=CODES, class_names=("cat", "dog")):
    with path.open("wb") as file:
        write_codes(file, path, codes, class_names)
    return path


def test_numpy_reads_the_arrays(tmp_path):
    arrays = np.load(written(tmp_path / "codes.npz"))
    assert sorted(arrays) == ["class_names", "code", "index", "label", "log_variance"]
    assert np.array_equal(arrays["code"], CODES.code.numpy())
    assert np.array_equal(arrays["log_variance"], CODES.log_variance.numpy())
    assert arrays["label"].tolist() == [1, 0, -1, 1, 0]
    assert arrays["index"].tolist() == [0, 1, 2, 3, 4]
    assert arrays["class_names"].tolist() == ["cat", "dog"]


@pytest.mark.parametrize("suffix", [".csv", ".CSV", ".parquet"])
def test_a_table_has_the_same_numbers_to_the_last_bit(tmp_path, suffix):
    path = written(tmp_path / f"codes{suffix}")
    if suffix == ".parquet":
        table = parquet.read_table(path)
        columns = {name: table[name].to_numpy() for name in table.column_names}
    else:
        table = np.genfromtxt(path, delimiter=",", names=True)
        columns = {name: table[name] for name in table.dtype.names}
    assert list(columns) == ["index", "label", *(f"{name}_{i}" for name in ("code", "log_variance") for i in range(3))]
    for name, values in (("code", CODES.code), ("log_variance", CODES.log_variance)):
        for i in range(3):
            assert np.array_equal(columns[f"{name}_{i}"].astype(np.float32), values[:, i].numpy())
    assert columns["label"].astype(int).tolist() == [1, 0, -1, 1, 0]


def test_what_a_model_or_the_data_does_not_have_is_left_out(tmp_path):
    codes = Codes(CODES.code, None, torch.full((5,), -1), torch.arange(5))
    assert sorted(np.load(written(tmp_path / "codes.npz", codes, ()))) == ["code", "index", "predicted"]
    header = written(tmp_path / "codes.csv", codes, ()).read_text().splitlines()[0]
    assert header == "index,predicted,code_0,code_1,code_2"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("codes.cvs", r"of an unknown kind. Did you mean codes.csv\? Allowed: .csv"),
        ("codes", "of an unknown kind"),
        ("folder.npz", "is a folder"),
    ],
)
def test_a_name_that_cannot_be_written_is_refused(tmp_path, name, message):
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(ConfigError, match=message):
        check_codes_path(tmp_path / name)
