import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import parquet

from vae_exp.dataset.arrays import Arrays

WHOLE = {"values": "real", "test_fraction": 0.25}


def load(path, **arguments):
    """All rows of a table, in order."""
    source = Arrays(str(path), **WHOLE, **arguments)
    info, splits = source.describe(), source.load()
    pixels, labels = (torch.cat([getattr(part, name) for part in (splits.train, splits.test)]) for name in WHAT)
    order = pixels[:, 0, 0, 0].argsort()
    return info, pixels[order].flatten(1), [(-1 if n < 0 else info.class_names[n]) for n in labels[order].tolist()]


WHAT = ("pixels", "labels")
NUMBERS = [[1, 2.5], [2, 4], [3, -6], [4, 8e3]]
KINDS = ["u", "v", -1, "u"]


@pytest.mark.parametrize(
    ("content", "arguments"),
    [
        ("a,b,kind\n1,2.5,u\n2,4,v\n3,-6,\n4,8e3,u\n", {"label_column": "kind"}),
        ('"the ""a"", first","b",kind\n"1","2.5",u\n2,"4","v"\n3,-6,""\n4,8e3,"u"\n', {"label_column": -1}),
        ("u,1,2.5\nv,2,4\n,3,-6\nu,4,8e3", {"label_column": 0}),
        ("\ufeffkind;a;b\r\nu;1;2.5\r\nv;2;4\r\n;3;-6\r\n\r\nu;4;8e3\r\n", {"label_column": "kind"}),
        ("kind\t0\t1\nu\t1\t2.5\nv\t2\t4\nnan\t3\t-6\nu\t4\t8000\n", {"label_column": "kind"}),
        ("9,8,kind\n1,2.5,u\n2,4,v\n3,-6,\n4,8e3,u\n", {"label_column": 2, "header": True}),
    ],
    ids=["header", "quotes", "no header", "semicolons", "tabs", "told"],
)
def test_csv(tmp_path, content, arguments):
    (tmp_path / "x.csv").write_bytes(content.encode())
    info, rows, kinds = load(tmp_path / "x.csv", **arguments)
    assert rows.tolist() == NUMBERS
    assert kinds == KINDS
    assert (info.shape, info.class_names, info.sizes) == ((1, 1, 2), ("u", "v"), {})


def test_csv_without_labels_or_header(tmp_path):
    (tmp_path / "x.csv").write_text("1,2.5\n2,4\n3,-6\n4,8e3\n")
    info, rows, _ = load(tmp_path / "x.csv")
    assert rows.tolist() == NUMBERS
    assert info.classes == 0


def test_a_text_with_a_comma_or_a_line_end_is_one_label(tmp_path):
    (tmp_path / "x.csv").write_text('a,kind\n1,"x, y"\n2,"x\ny"\n3,z\n4,z\n')
    assert load(tmp_path / "x.csv", label_column="kind")[2] == ["x, y", "x\ny", "z", "z"]


def test_parquet(tmp_path):
    columns = {"a": [1, 2, 3, 4], "kind": ["u", "v", None, "u"], "b": np.array([2.5, 4, -6, 8e3], np.float32)}
    parquet.write_table(pa.table(columns | {"__index_level_0__": [9, 9, 9, 9]}), tmp_path / "x.parquet")
    info, rows, kinds = load(tmp_path / "x.parquet", label_column="kind")
    assert rows.tolist() == NUMBERS
    assert kinds == KINDS
    assert (info.shape, info.sizes) == ((1, 1, 2), {"train": 3, "test": 1})


def test_whole_numbers_of_a_table_are_numbers_and_only_bytes_are_levels(tmp_path):
    parquet.write_table(pa.table({"a": [1, 2, 300], "b": [-1, 0, 1]}), tmp_path / "x.parquet")
    assert Arrays(str(tmp_path / "x.parquet")).describe().values == "real"
    parquet.write_table(pa.table({"a": np.array([1, 2, 3], np.uint8)}), tmp_path / "x.parquet")
    assert Arrays(str(tmp_path / "x.parquet")).describe().values == "levels"
