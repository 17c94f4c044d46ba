"""What lies in a folder of images: good ones, and thirty-five bad ones."""

import logging
import os

import pytest
from folders import broken, cut, draw, numbered, pairs, touched

from vae_exp.errors import DataError


def links(root, target, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(target)


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
