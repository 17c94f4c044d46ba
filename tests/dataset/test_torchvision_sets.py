"""Data sets of torchvision: small files in the form that torchvision reads, with their own checksums."""

import hashlib
import pickle
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat
from torchvision import datasets

from vae_exp.dataset.torchvision_sets import CIFAR10, SVHN, CelebA, Omniglot
from vae_exp.errors import DataError

DRAW = np.random.default_rng(0)


def md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture
def cifar10(tmp_path, monkeypatch):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    pixels = DRAW.integers(0, 256, (2, 6, 3 * 32 * 32), dtype=np.uint8)
    for name, values in zip(("data_batch_1", "test_batch"), pixels, strict=True):
        (folder / name).write_bytes(pickle.dumps({"data": values, "labels": [0, 1, 2, 3, 4, 9]}))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list("abcdefghij")}))
    monkeypatch.setattr(datasets.CIFAR10, "train_list", [["data_batch_1", md5(folder / "data_batch_1")]])
    monkeypatch.setattr(datasets.CIFAR10, "test_list", [["test_batch", md5(folder / "test_batch")]])
    meta = {"filename": "batches.meta", "key": "label_names", "md5": md5(folder / "batches.meta")}
    monkeypatch.setattr(datasets.CIFAR10, "meta", meta)
    return CIFAR10(str(tmp_path)), pixels.reshape(2, 6, 3, 32, 32)


@pytest.fixture
def svhn(tmp_path, monkeypatch):
    pixels = DRAW.integers(0, 256, (2, 32, 32, 3, 5), dtype=np.uint8)
    files = {}
    for split, values in zip(("train", "test"), pixels, strict=True):
        path = tmp_path / f"{split}_32x32.mat"
        savemat(path, {"X": values, "y": np.array([[10], [1], [2], [3], [9]])})
        files[split] = ["http://127.0.0.1:9/", path.name, md5(path)]
    monkeypatch.setattr(datasets.SVHN, "split_list", files)
    return SVHN(str(tmp_path)), pixels.transpose(0, 4, 3, 1, 2)


@pytest.fixture
def omniglot(tmp_path, monkeypatch):
    home = tmp_path / "omniglot-py"
    checksums = {}
    for part, characters in (("images_background", 2), ("images_evaluation", 1)):
        for character in range(characters):
            folder = home / part / "Latin" / f"character{character:02}"
            folder.mkdir(parents=True)
            ink = np.full((105, 105), 255, np.uint8)
            ink[:, : 15 * (1 + character)] = 0
            Image.fromarray(ink).convert("1").save(folder / "0001_01.png")
        with zipfile.ZipFile(home / f"{part}.zip", "w") as archive:
            archive.writestr("x", part)
        checksums[part] = md5(home / f"{part}.zip")
    monkeypatch.setattr(datasets.Omniglot, "zips_md5", checksums)
    return Omniglot(str(tmp_path), str(tmp_path / "cache"), size=7)


@pytest.fixture
def celeba(tmp_path, monkeypatch):
    folder = tmp_path / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    names = [f"{i:06}.jpg" for i in range(1, 7)]
    for i, name in enumerate(names):
        Image.new("RGB", (178, 218), (40 * i, 200, 10)).save(folder / "img_align_celeba" / name, quality=95)
    splits = [0, 0, 1, 1, 2, 2]
    texts = {
        "list_eval_partition.txt": "".join(f"{name} {split}\n" for name, split in zip(names, splits, strict=True)),
        "identity_CelebA.txt": "".join(f"{name} 1\n" for name in names),
    }
    for name in ("list_attr_celeba.txt", "list_bbox_celeba.txt", "list_landmarks_align_celeba.txt"):
        texts[name] = f"{len(names)}\nfirst second\n" + "".join(f"{image} 1 -1\n" for image in names)
    for name, text in texts.items():
        (folder / name).write_text(text)
    listed = [("", md5(folder / name), name) for name in texts]
    monkeypatch.setattr(datasets.CelebA, "file_list", listed)
    return CelebA(str(tmp_path), str(tmp_path / "cache"), size=8)


def test_cifar10_is_read_as_it_is(cifar10):
    source, pixels = cifar10
    splits = source.load()
    assert torch.equal(splits.train.pixels, torch.from_numpy(pixels[0]))
    assert torch.equal(splits.test.pixels, torch.from_numpy(pixels[1]))
    assert splits.test.labels.tolist() == [0, 1, 2, 3, 4, 9]
    assert source.describe().shape == splits.train.pixels.shape[1:]
    assert source.describe().class_names[9] == "truck"


def test_svhn_calls_the_digit_zero_class_zero(svhn):
    source, pixels = svhn
    splits = source.load()
    assert torch.equal(splits.train.pixels, torch.from_numpy(pixels[0].copy()))
    assert splits.train.labels.tolist() == [0, 1, 2, 3, 9]
    assert splits.train.labels.dtype == torch.int64


def test_omniglot_is_white_ink_without_labels(omniglot):
    splits = omniglot.load()
    assert (len(splits.train), len(splits.test)) == (2, 1)
    assert splits.train.pixels.shape[1:] == omniglot.describe().shape == (1, 7, 7)
    assert splits.train.pixels[0, 0, 3].tolist() == [255, 0, 0, 0, 0, 0, 0]
    assert splits.train.pixels[1, 0, 3].tolist() == [255, 255, 0, 0, 0, 0, 0]
    assert splits.train.labels.tolist() == [-1, -1]
    assert splits.train.on_disk


def test_celeba_has_three_splits_of_small_faces(celeba):
    splits = celeba.load()
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (2, 2, 2)
    assert splits.test.pixels.shape[1:] == celeba.describe().shape == (3, 8, 8)
    assert splits.test.pixels[1].float().mean((1, 2)).tolist() == pytest.approx([200, 200, 10], abs=4)


def test_images_are_decoded_once(omniglot, tmp_path):
    before = omniglot.load().train.pixels.clone()
    for image in (tmp_path / "omniglot-py").rglob("*.png"):
        image.write_bytes(b"changed")
    assert torch.equal(omniglot.load().train.pixels, before)


def test_an_image_that_cannot_be_read_is_named(omniglot, tmp_path):
    broken = next((tmp_path / "omniglot-py").rglob("*.png"))
    broken.write_bytes(b"changed")
    with pytest.raises(DataError, match=f"{broken.name} cannot be read"):
        omniglot.load()


@pytest.mark.parametrize("kind", [CIFAR10, SVHN, Omniglot, CelebA])
def test_what_cannot_be_downloaded_is_refused_with_directions(kind, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError("no network")

    for module in (datasets.cifar, datasets.svhn, datasets.omniglot, datasets.celeba):
        for name in ("download_and_extract_archive", "download_url", "download_file_from_google_drive"):
            monkeypatch.setattr(module, name, refuse, raising=False)
    source = kind(str(tmp_path / "none"), *([str(tmp_path / "cache")] if kind in (Omniglot, CelebA) else []))
    with pytest.raises(DataError, match=rf"{kind.__name__} is not in paths.data=.*no network.*VAE_EXP_DATA"):
        source.load()


@pytest.mark.parametrize("name", ["cifar10", "svhn", "omniglot", "celeba"])
def test_a_model_trains_on_it(run, request, name, tmp_path):
    request.getfixturevalue(name)
    quick = ["samples=4", "dataset.batch_size=2", "network.hidden_sizes=[4]", "logger=none", "callbacks.figures=null"]
    folders = [f"dataset.source.root={tmp_path}", f"paths.cache={tmp_path / 'cache'}"]
    outcome = run(f"dataset={name}", "likelihood=gaussian", *folders, *quick)
    assert outcome.status == 0, outcome.err
    assert outcome.results["test/bits_per_dim"] > 0
