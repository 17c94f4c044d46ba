import io
import pickle
import sys
import zipfile

import h5py
import numpy as np
import pyarrow as pa
import pytest
import torch
from images import write_idx
from pyarrow import parquet

from vae_exp.dataset import Dataset
from vae_exp.dataset.array_files import Npy
from vae_exp.dataset.arrays import Arrays
from vae_exp.dataset.fashion_mnist import FashionMNIST
from vae_exp.errors import ConfigError, DataError, UserError

CPU = torch.device("cpu")
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
    assert (ours.info.shape, ours.info.values, ours.levels) == (theirs.info.shape, theirs.info.values, theirs.levels)


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
