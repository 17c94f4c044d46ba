"""The decoded images of a folder, which are kept."""

import multiprocessing
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from folders import broken, cut, draw, numbered, touched
from PIL import Image

from vae_exp.dataset.folder import Folder
from vae_exp.errors import DataError


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
