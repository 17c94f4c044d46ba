"""Files of arrays that are damaged, hostile or not clear: one message each."""

import io
import pickle
import sys
import zipfile

import numpy as np
import pytest
import torch
from written import BYTES, ROWS, hdf5, loaded, npy, npz, pt, table, text

from vae_exp.dataset.arrays import Arrays
from vae_exp.errors import ConfigError, DataError, UserError


class Evil:
    def __reduce__(self):
        return (print, ("unpickled",))


def with_nan(value=np.nan):
    array = ROWS.copy()
    array[6, 2] = value
    return array


def cut(path, keep=0.6):
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    return path


def lying(path):
    """A header that promises more than the file holds."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**9, 10**6)})
    return text(path, header.getvalue() + bytes(80), "x.npy")


def objects_in_a_zip(path):
    with zipfile.ZipFile(path / "x.npz", "w") as archive:
        content = io.BytesIO()
        np.save(content, np.array([Evil()] * 10, dtype=object), allow_pickle=True)
        archive.writestr("x.npy", content.getvalue())
    return path / "x.npz"


MISTAKES = {
    "objects": (lambda p: npy(p, np.array([Evil(), 1], dtype=object)), {}, ["Python objects", "never unpickled"]),
    "objects in a zip": (objects_in_a_zip, {"train": "x"}, ["Python objects"]),
    "labels of objects": (lambda p: npz(p, x=ROWS, y=np.array([Evil()] * 10, object)), {}, ["y holds Python objects"]),
    "a pickle": (lambda p: text(p, pickle.dumps(Evil()), "x.npy"), {}, ["is damaged or is no .npy file"]),
    "a pickle in .pt": (lambda p: pt(p, Evil()), {}, ["is damaged or is no .pt file"]),
    "no tensor": (lambda p: pt(p, [1, 2, 3]), {}, ["a dict of tensors is needed"]),
    "a sparse tensor": (lambda p: pt(p, torch.eye(4).to_sparse()), {}, ["x.pt: "]),
    "NaN": (lambda p: npz(p, x=with_nan()), {}, ["x.npz: x: 1 of 40 values are NaN, the first in row 6"]),
    "infinite": (lambda p: npz(p, x=with_nan(np.inf)), {"values": "real"}, ["1 of 40", "infinite", "row 6"]),
    "too large": (lambda p: npz(p, x=with_nan(1e300)), {}, ["larger than a float32", "row 6"]),
    "not unit": (lambda p: npz(p, x=ROWS), {"values": "unit"}, ["outside [0, 1]", "row 0", "values=real"]),
    "not whole": (lambda p: npz(p, x=ROWS), {"values": "levels"}, ["no whole number", "values=real"]),
    "negative": (lambda p: npz(p, x=with_nan(-1).astype(int)), {}, ["outside 0…255", "values=real"]),
    "mixed types": (lambda p: npz(p, x=ROWS, x_test=BYTES[:, :4, 0]), {}, ["float64", "uint8", "values="]),
    "complex": (lambda p: npz(p, x=ROWS * 1j), {}, ["complex128"]),
    "texts": (lambda p: npz(p, x=np.full((3, 3), "a")), {}, ["Images are integers or floats"]),
    "one axis": (lambda p: npz(p, x=ROWS[0]), {}, ["(4,) float64", "Needed: (N, D)"]),
    "five axes": (lambda p: npy(p, np.zeros((2,) * 5)), {}, ["Needed: (N, D)"]),
    "ambiguous": (lambda p: npy(p, np.zeros((2, 3, 4, 3))), {}, ["layout=NCHW or layout=NHWC"]),
    "no channels": (lambda p: npy(p, np.zeros((2, 5, 4, 7))), {}, ["layout=NCHW or layout=NHWC"]),
    "needless layout": (lambda p: npy(p, ROWS), {"layout": "NCHW"}, ["layout=NCHW", "no axis of channels"]),
    "shapes differ": (lambda p: npz(p, x=ROWS, x_test=ROWS[:, :3]), {}, ["x_test is (10, 3)", "the images differ"]),
    "no rows": (lambda p: npz(p, x=ROWS[:0]), {}, ["(0, 4)", "it is empty"]),
    "one row": (lambda p: npz(p, x=ROWS[:1]), {}, ["1 image", "a test split"]),
    "wrong key": (lambda p: npz(p, x_train=ROWS), {"train": "x_trian"}, ["Did you mean x_train?"]),
    "wrong labels": (lambda p: npz(p, x=ROWS, why=ROWS), {"train_labels": "y"}, ["train_labels=y", "mean why?"]),
    "labels alone": (lambda p: npz(p, x=ROWS, y=ROWS), {"test_labels": "y"}, ["no test images"]),
    "which": (lambda p: npz(p, a=ROWS, b=ROWS), {}, ["which array", "a (10, 4) float64, b"]),
    "no arrays": (lambda p: npz(p), {}, ["holds no arrays"]),
    "unequal": (lambda p: npz(p, x=ROWS, y=np.arange(9)), {}, ["x is (10, 4)", "y is (9,) int64"]),
    "one-hot labels": (lambda p: npz(p, x=ROWS, y=np.eye(10)), {}, ["(10, 10)", "Labels (N,)"]),
    "targets": (lambda p: npz(p, x=ROWS, y=ROWS[:, 0]), {}, ["Labels are whole numbers or names"]),
    "cut zip": (lambda p: cut(npz(p, x=ROWS)), {}, ["is damaged or is no .npz file"]),
    "cut array": (lambda p: cut(npy(p, ROWS)), {}, ["is damaged or is no .npy file"]),
    "cut tensor": (lambda p: cut(pt(p, torch.rand(50, 9))), {}, ["is damaged or is no .pt file"]),
    "cut hdf5": (lambda p: cut(hdf5(p, x=ROWS)), {}, ["is damaged or is no .h5 file"]),
    "cut parquet": (lambda p: cut(table(p, a=[1.0] * 9)), {}, ["is damaged or is no .parquet file"]),
    "lying header": (lying, {}, ["is damaged or is no .npy file"]),
    "missing": (lambda p: p / "x.npz", {}, ["does not exist"]),
    "a folder": (lambda p: (p / "x.npy").mkdir() or p / "x.npy", {}, ["is no file"]),
    "empty file": (lambda p: text(p, ""), {}, ["is empty"]),
    "unknown kind": (lambda p: text(p, "", "x.mat"), {}, ["unknown kind", ".npz", ".csv"]),
    "label_column": (lambda p: npz(p, x=ROWS), {"label_column": 0}, ["is for tables"]),
    "text in csv": (lambda p: text(p, "a,b\n1,2\n3,four\n"), {}, ["line 3", "column b is 'four'", "label_column"]),
    "ragged csv": (lambda p: text(p, "a,b\n1,2\n3,4,5\n"), {}, ["line 3 has 3 fields", "first line has 2"]),
    "short line": (lambda p: text(p, "a,b\n1,2\n3\n"), {}, ["line 3 has 1 fields"]),
    "empty field": (lambda p: text(p, "a,b\n1,\n3,4\n"), {}, ["line 2: column b is empty"]),
    "nan in csv": (lambda p: text(p, "a,b\n1,nan\n3,4\n"), {}, ["1 of 4 values are NaN", "row 0"]),
    "header alone": (lambda p: text(p, "a,b\n"), {}, ["it is empty"]),
    "no utf-8": (lambda p: text(p, b"a,b\n1,2\n\xff\xfe,4\n"), {}, ["utf-8"]),
    "an index": (lambda p: text(p, ",a,b\n0,1,2\n1,3,4\n"), {}, ["no name for column 0", "index=False"]),
    "which header": (lambda p: text(p, "0,1,2\n4,5,6\n1,2,3"), {}, ["header=true or header=false"]),
    "mixed header": (lambda p: text(p, "1,NA,2\n4,5,6\n1,2,3"), {}, ["header=true or header=false"]),
    "no such column": (lambda p: text(p, "kind,b\n1,2\n"), {"label_column": "knd"}, ["Did you mean kind?"]),
    "only labels": (lambda p: text(p, "kind\n1\n2\n"), {"label_column": "kind"}, ["it is empty"]),
    "text in parquet": (lambda p: table(p, a=[1, 2], b=["x", "y"]), {}, ["column b holds string", "label_column"]),
    "null in parquet": (lambda p: table(p, a=[1, None], b=[1, 2]), {}, ["1 of 4 values are NaN", "row 1"]),
    "levels": (lambda p: npy(p, BYTES), {"standardise": True}, ["standardise=true", "values=real"]),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_gets_one_clear_message(tmp_path, mistake, capsys):
    make, arguments, words = MISTAKES[mistake]
    with pytest.raises(UserError) as refused:
        loaded(make(tmp_path), **arguments)
    message = str(refused.value)
    assert all(word in message for word in words), message
    assert len(message.splitlines()) == 1
    assert "x." in message or "dataset.source" in message
    assert "unpickled" not in capsys.readouterr().out


@pytest.mark.parametrize(("package", "suffix", "extra"), [("h5py", "h5", "hdf5"), ("pyarrow", "parquet", "parquet")])
def test_a_missing_extra_is_named(tmp_path, monkeypatch, package, suffix, extra):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(DataError, match=rf"pip install 'vae_exp\[{extra}\]'"):
        Arrays(str(text(tmp_path, "", f"x.{suffix}"))).describe()


def test_arguments_that_cannot_be_are_refused_before_the_file_is_opened(tmp_path):
    with pytest.raises(ConfigError, match="unknown kind"):
        Arrays(str(tmp_path / "x.doc")).describe()
