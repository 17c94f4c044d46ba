"""Folders of images: good ones, and thirty-five bad ones."""

import logging
import multiprocessing
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vae_exp.dataset import Dataset
from vae_exp.dataset.folder import Folder
from vae_exp.errors import ConfigError, DataError


def draw(root: Path, *names: str, size=(4, 4), mode="RGB", colour=None) -> None:
    """Image files, each of its own brightness."""
    for i, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shade = 10 + 3 * i
        default = shade if mode == "L" else (shade, 0, 255 - shade)
        Image.new(mode, size, default if colour is None else colour).save(root / name)


def numbered(folder: str, n: int) -> list[str]:
    return [f"{folder}/{i:02}.png".lstrip("/") for i in range(n)]


@pytest.fixture
def root(tmp_path):
    (tmp_path / "images").mkdir()
    return tmp_path / "images"


@pytest.fixture
def source(root, tmp_path):
    def build(**arguments):
        return Folder(str(root), str(tmp_path / "cache"), **arguments)

    return build


def pairs(root):
    draw(root, *numbered("cats", 3), *numbered("dogs", 3))


def broken(root, n, content=b"no image"):
    for i in range(n):
        (root / f"broken{i}.png").write_bytes(content)


def cut(root, n):
    draw(root, *(f"cut{i}.png" for i in range(n)), size=(40, 40))
    for path in root.glob("cut*"):
        path.write_bytes(path.read_bytes()[:70])


def links(root, target, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(target)


def touched(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")


def in_place_of(root, make):
    root.rmdir()
    make()


BAD = {
    "missing": (lambda r: r.rmdir(), "images: there is no such folder"),
    "file": (lambda r: in_place_of(r, r.touch), "the folder cannot be read: Not a directory"),
    "dead link": (lambda r: in_place_of(r, lambda: r.symlink_to("nowhere")), "is a link to nothing"),
    "link to itself": (lambda r: in_place_of(r, lambda: r.symlink_to(r)), "is a link to nothing|cannot be read"),
    "empty": (lambda r: None, "images: holds no image. PNG, JPEG, BMP, TIFF and WebP files are read"),
    "no images": (lambda r: touched(r, "a.txt", "b.txt", ".DS_Store"), r"holds no image; it holds 2 \.txt, 1 \.DS_"),
    "other images": (lambda r: touched(r, "a.gif"), r"holds no image; it holds 1 \.gif"),
    "hidden images": (lambda r: draw(r, "__MACOSX/a.png", ".b.png"), "holds no image"),
    "wrong suffix": (lambda r: (draw(r, "a.png"), (r / "a.png").rename(r / "a.data")), r"it holds 1 \.data"),
    "one image": (lambda r: draw(r, "a.png"), r"the folder has only one image \(a\.png\)"),
    "class of one": (lambda r: (pairs(r), draw(r, "star/a.png")), r"the class star has only one image \(star/a\.png\)"),
    "all broken": (lambda r: broken(r, 2), r"has no readable image: broken0\.png \(it is none of PNG"),
    "many broken": (lambda r: (pairs(r), broken(r / "cats", 9)), r"more than 3 images cannot be read: .*Repair"),
    "many empty": (lambda r: (pairs(r), broken(r / "cats", 4, b"")), r"cats/broken3\.png \(it is empty\)"),
    "many cut": (
        lambda r: (draw(r, *numbered("dogs", 2), size=(40, 40)), cut(r / "cats", 4)),
        r"more than 3 images cannot be read: .*cut",
    ),
    "class broken": (
        lambda r: (draw(r, *numbered("cats", 3)), (r / "dogs").mkdir(), broken(r / "dogs", 2)),
        r"test has no readable image|train has no readable image in the class dogs: dogs/broken",
    ),
    "split broken": (
        lambda r: (draw(r, *numbered("train", 3)), (r / "test").mkdir(), broken(r / "test", 1)),
        r"test has no readable image: test/broken0\.png",
    ),
    "dead links": (lambda r: (pairs(r), links(r / "cats", "nowhere", *(f"{i}.png" for i in range(4)))), "No such"),
    "loops of files": (
        lambda r: [pairs(r), *(links(r / "cats", name, name) for name in ("a.png", "b.png", "c.png", "d.png"))],
        "more than 3 images cannot be read: .*symbolic links",
    ),
    "pipes": (lambda r: (pairs(r), [os.mkfifo(r / "cats" / f"{i}.png") for i in range(4)]), "it is no regular file"),
    "sizes": (
        lambda r: (pairs(r), draw(r, "dogs/z.png", size=(5, 6))),
        r"images/dogs/z\.png: has 6×5 pixels \(height × width\), and cats/00\.png has 4×4\. .*size=\[4,4\]",
    ),
    "one pixel": (lambda r: (pairs(r), draw(r, "cats/a.png", size=(1, 1))), r"cats/a\.png: has 1×1 pixels"),
    "loose image": (lambda r: (pairs(r), draw(r, "a.png")), r"a\.png lies beside the class folder cats"),
    "loose in split": (
        lambda r: draw(r, "train/a/1.png", "train/2.png", "test/a/1.png"),
        r"train/2\.png lies beside the class folder train/a",
    ),
    "nested": (lambda r: (pairs(r), draw(r, "cats/wild/1.png")), "the folder cats/wild lies too deep. Images lie in"),
    "nested in split": (lambda r: draw(r, "train/a/b/1.png", "test/a/1.png"), "train/a/b lies too deep"),
    "wrapped": (lambda r: pairs(r / "all"), "the folder all/cats lies too deep.*mean dataset.source.path=.*images/all"),
    "link loop": (lambda r: (pairs(r), links(r, r, "again")), "again is a link to a folder above it"),
    "link loop below": (lambda r: (pairs(r), links(r, r / "cats", "cats/again")), "cats/again lies too deep"),
    "no test": (lambda r: draw(r, "train/1.png", "val/2.png"), r"\(train, val\), but none named test\. Without any"),
    "no train": (lambda r: draw(r, "test/1.png"), "but none named train"),
    "validation twice": (
        lambda r: draw(r, "train/1.png", "test/1.png", "val/1.png", "validation/1.png"),
        "the folders val and validation are the same split",
    ),
    "loose beside splits": (lambda r: draw(r, "train/1.png", "test/1.png", "2.png"), r"2\.png lies beside test, train"),
    "class beside splits": (
        lambda r: draw(r, "train/1.png", "test/1.png", "cats/2.png"),
        "the folder cats lies beside test, train, which are splits",
    ),
    "empty split": (lambda r: (draw(r, "train/1.png"), (r / "test").mkdir()), "the folder test holds no image"),
    "class in test only": (
        lambda r: draw(r, "train/a/1.png", "train/b/1.png", "test/c/1.png"),
        "test has the class c, which train does not have. Classes of train: a, b",
    ),
    "labels in train only": (
        lambda r: draw(r, "train/a/1.png", "train/b/1.png", "test/1.png"),
        "the images of train lie in class folders, and those of test do not",
    ),
    "like splits": (
        lambda r: draw(r, "training/1.png", "test/1.png"),
        "training looks like a split: rename it to train",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_folders_are_refused_in_one_line(root, source, tmp_path, name):
    build, message = BAD[name]
    build(root)
    with pytest.raises(DataError, match=message) as error:
        source().describe() and source().load()
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "cache").glob("folders/*-*"))


class TestSplits:
    def test_a_part_of_each_class_is_the_test_split(self, root, source):
        draw(root, *numbered("cats", 20), *numbered("dogs", 40))
        info, splits = source().describe(), source().load()
        assert (info.shape, info.class_names, dict(info.sizes)) == (
            (3, 4, 4),
            ("cats", "dogs"),
            {"test": 6, "train": 54},
        )
        assert splits.test.labels.bincount().tolist() == [2, 4]
        assert splits.train.labels.bincount().tolist() == [18, 36]
        assert splits.validation is None

    def test_pixels_and_labels_belong_together(self, root, source):
        draw(root, *numbered("a", 30))
        draw(root, *numbered("b", 30), colour=(0, 200, 0))
        splits = source(test_fraction=0.3).load()
        for images in (splits.train, splits.test):
            assert torch.equal(images.pixels[:, 1, 0, 0] == 200, images.labels == 1)

    def test_a_flat_folder_has_no_labels(self, root, source):
        draw(root, *numbered("", 20))
        assert source().describe().class_names == ()
        splits = source().load()
        assert (len(splits.train), len(splits.test)) == (18, 2)
        assert splits.train.labels.unique().tolist() == [-1]
        shades = torch.cat([splits.train.pixels, splits.test.pixels])[:, 0, 0, 0]
        assert sorted(shades.tolist()) == [10 + 3 * i for i in range(20)]

    def test_one_class_folder_is_no_class(self, root, source):
        draw(root, *numbered("img_align", 4))
        assert source().describe().classes == 0

    @pytest.mark.parametrize("validation", ["val", "validation", "Validation"])
    def test_folders_may_be_splits(self, root, source, validation):
        draw(root, *numbered("train/a", 3), *numbered("train/b", 2), "test/a/1.png", f"{validation}/b/1.png")
        splits = source().load()
        assert [images.labels.sort()[0].tolist() for images in (splits.train, splits.test, splits.validation)] == [
            [0, 0, 0, 1, 1],
            [0],
            [1],
        ]

    def test_the_split_depends_on_its_seed_alone(self, root, source):
        draw(root, *numbered("", 40))
        first, again, other = (source(split_seed=seed).load().test.pixels for seed in (0, 0, 1))
        assert torch.equal(first, again)
        assert not torch.equal(first, other)

    def test_new_images_leave_most_of_the_split_as_it_is(self, root, source):
        draw(root, *numbered("", 40))
        before = {tuple(image.flatten().tolist()) for image in source().load().test.pixels}
        draw(root, "new.png", colour=(1, 2, 3))
        after = {tuple(image.flatten().tolist()) for image in source().load().test.pixels}
        assert len(before & after) >= len(before) - 1

    def test_few_labels_of_a_rare_class_are_refused(self, root, source):
        draw(root, *numbered("train/a", 5), "train/b/1.png", "test/a/1.png", "test/b/1.png")
        with pytest.raises(ConfigError, match=r"dataset\.labels=4: needs 2 training images of each class"):
            Dataset(source(), labels=4).load(torch.device("cpu"))


class TestShape:
    def test_grey_files_have_one_channel_and_others_three(self, root, source):
        draw(root, *numbered("", 4), mode="L")
        assert source().describe().shape == (1, 4, 4)
        assert source(channels=3).describe().shape == (3, 4, 4)
        draw(root, "red.png")
        assert source().describe().shape == (3, 4, 4)
        assert source(channels=1).load().train.pixels.shape[1:] == (1, 4, 4)

    def test_a_size_makes_all_alike(self, root, source):
        draw(root, "a.png", size=(7, 3))
        draw(root, "b.png", size=(1, 1))
        draw(root, "c.png", size=(20, 30))
        images = source(size=[5, 6])
        assert images.describe().shape == images.load().train.pixels.shape[1:] == (3, 5, 6)

    def test_nothing_is_opened_to_describe_a_known_shape(self, root, source):
        touched(root, "a.png", "b.png")
        assert source(size=[5, 6], channels=1).describe().shape == (1, 5, 6)


class TestNames:
    def test_odd_names_are_kept(self, root, source):
        draw(root, *numbered("two words", 2), *numbered("Größe", 2), *numbered("a$b\nc", 2))
        assert source().describe().class_names == ("Größe", "a$b\\nc", "two words")
        assert len(source().load().train) == 3

    def test_a_name_that_is_not_utf8_is_kept(self, root, source):
        try:
            draw(root, *numbered(os.fsdecode(b"caf\xe9"), 2), *numbered("b", 2))
        except OSError:
            pytest.skip("this file system has only UTF-8 names")
        assert source().describe().class_names == ("b", "caf\\xe9")
        assert len(source().load().train) == 2

    def test_other_files_are_ignored_and_counted(self, root, source, caplog):
        pairs(root)
        touched(root, "README.txt", "cats/Thumbs.db", ".DS_Store", "a.gif", "cats/.ipynb_checkpoints/00.png")
        (root / "empty").mkdir()
        caplog.set_level(logging.INFO)
        assert len(source().load().train) == 4
        for counted in ("1 .txt", "1 .db", "1 .gif", "1 .DS_Store", "1 .ipynb_checkpoints"):
            assert counted in caplog.text
        assert "1 .gif are not read, only PNG" in caplog.text
        assert "empty holds no image and is no class" in caplog.text

    def test_a_class_without_test_images_is_told(self, root, source, caplog):
        draw(root, "train/a/1.png", "train/b/1.png", "test/a/1.png")
        source().load()
        assert "test has no image of b" in caplog.text

    def test_suffixes_may_lie_about_the_format(self, root, source):
        draw(root, "a.png", "b.png", "c.bmp")
        (root / "c.bmp").rename(root / "c.JPG")
        assert len(source().load().train) == 2


@pytest.fixture
def opened(monkeypatch):
    """The names of the files that Pillow opens."""
    names = []
    pillows = Image.open

    def counted(file, **arguments):
        names.append(Path(file.name).name)
        return pillows(file, **arguments)

    monkeypatch.setattr(Image, "open", counted)
    return names


class TestCache:
    def test_images_are_decoded_once_and_mapped(self, root, source, opened, tmp_path):
        draw(root, *numbered("", 5))
        images = source(size=[4, 4], channels=3)
        first = images.load()
        assert sorted(opened) == numbered("", 5)
        again = images.load()
        assert len(opened) == 5
        assert torch.equal(first.train.pixels, again.train.pixels)
        (pixels,) = tmp_path.rglob("*.bin")
        assert np.fromfile(pixels, np.uint8).tolist() == [
            *again.test.pixels.flatten().tolist(),
            *again.train.pixels.flatten().tolist(),
        ]
        assert again.train.pixels.untyped_storage().data_ptr() == again.test.pixels.untyped_storage().data_ptr()

    def test_a_description_reads_headers_once(self, root, source, opened):
        draw(root, *numbered("", 5))
        assert source().describe() == source().describe()
        assert len(opened) == 5

    def test_a_changed_folder_is_decoded_again(self, root, source):
        draw(root, *numbered("", 5))
        source().load()
        draw(root, "05.png", colour=(1, 2, 3))
        assert len(source().load().train) == 5
        Image.new("RGB", (4, 4), (9, 9, 9)).save(root / "00.png")
        os.utime(root / "00.png", (1, 1))
        splits = source().load()
        assert (torch.cat([splits.train.pixels, splits.test.pixels])[:, 1, 0, 0] == 9).sum() == 1

    def test_other_arguments_are_other_entries(self, root, source, tmp_path):
        draw(root, *numbered("", 5))
        assert source().load().train.pixels.shape[1:] == (3, 4, 4)
        assert source(channels=1).load().train.pixels.shape[1:] == (1, 4, 4)
        assert source(size=[2, 2]).load().train.pixels.shape[1:] == (3, 2, 2)
        assert len(list(tmp_path.rglob("*.bin"))) == 3

    def test_a_moved_folder_is_the_same(self, root, source, opened, tmp_path):
        draw(root, *numbered("", 5))
        source().load()
        opened.clear()
        shutil.copytree(root, tmp_path / "copy")
        Folder(str(tmp_path / "copy"), str(tmp_path / "cache")).load()
        assert opened == []

    def test_other_files_with_the_same_names_sizes_and_times_are_not_the_same(self, root, source, tmp_path):
        for folder, shade in ((root, 1), (tmp_path / "other", 2)):
            draw(folder, *(f"{i}.bmp" for i in range(3)), mode="L", colour=shade)
            for path in folder.iterdir():
                os.utime(path, (1, 1))
        source().load()
        other = Folder(str(tmp_path / "other"), str(tmp_path / "cache")).load()
        assert other.train.pixels.unique().tolist() == [2]

    @pytest.mark.parametrize("damage", ["pixels.bin", "index.json"])
    def test_a_damaged_entry_is_decoded_again(self, root, source, tmp_path, damage, caplog):
        draw(root, *numbered("", 5))
        pixels = source().load().train.pixels.clone()
        (path,) = tmp_path.rglob(damage)
        path.write_bytes(path.read_bytes()[:-7])
        assert torch.equal(source().load().train.pixels, pixels)
        assert "is damaged" in caplog.text

    def test_what_a_killed_job_left_is_deleted(self, root, source, tmp_path):
        draw(root, *numbered("", 5))
        source().load()
        (entry,) = (path.parent for path in tmp_path.rglob("pixels.bin"))
        entry.rename(entry.with_name(f"{entry.name}-0123"))
        source().load()
        assert [path.name for path in entry.parent.iterdir() if path.is_dir()] == [entry.name]

    def test_a_cache_that_cannot_be_written_is_named(self, root, tmp_path):
        draw(root, *numbered("", 5))
        touched(tmp_path, "file")
        with pytest.raises(DataError, match=r"paths\.cache=.*choose another folder"):
            Folder(str(root), str(tmp_path / "file" / "cache")).load()

    def test_a_few_broken_files_are_left_out_and_named_every_time(self, root, source, caplog):
        draw(root, *numbered("a", 9), *numbered("b", 9))
        broken(root / "a", 2)
        cut(root / "b", 1)
        for _ in range(2):
            caplog.clear()
            splits = source(size=[4, 4]).load()
            assert len(splits.train) + len(splits.test) == 18
            assert [name in caplog.text for name in ("a/broken0.png", "a/broken1.png", "b/cut0.png")] == [True] * 3
            assert "(it is none of PNG, JPEG, BMP, TIFF and WebP) and is left out" in caplog.text
            assert torch.cat([splits.train.labels, splits.test.labels]).bincount().tolist() == [9, 9]

    def test_a_file_that_was_unreadable_for_a_while_comes_back(self, root, source, monkeypatch):
        draw(root, *numbered("", 5))
        pillows = Image.open

        def failing(file, **arguments):
            if file.name.endswith("02.png"):
                raise PermissionError(13, "Permission denied")
            return pillows(file, **arguments)

        with monkeypatch.context() as patch:
            patch.setattr(Image, "open", failing)
            assert sum(len(images) for images in (source().load().train, source().load().test)) == 4
        assert sum(len(images) for images in (source().load().train, source().load().test)) == 5

    def test_many_jobs_decode_once(self, root, source, tmp_path):
        draw(root, *numbered("", 30), size=(32, 32))
        context = multiprocessing.get_context("fork")
        jobs = [context.Process(target=lambda: source().load()) for _ in range(3)]
        for job in jobs:
            job.start()
        for job in jobs:
            job.join()
        assert [job.exitcode for job in jobs] == [0, 0, 0]
        assert len(list(tmp_path.rglob("pixels.bin"))) == 1
