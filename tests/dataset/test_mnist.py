import hashlib
import lzma
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from vae_exp.dataset.mnist import FILES, MNIST, unpack
from vae_exp.errors import DataError


class TestMNIST:
    def test_is_the_official_split(self, tmp_path):
        splits = MNIST(str(tmp_path)).load()
        assert splits.train.pixels.shape == (60_000, 1, 28, 28)
        assert splits.test.pixels.shape == (10_000, 1, 28, 28)
        assert splits.train.pixels.dtype == torch.uint8
        assert splits.test.labels[:5].tolist() == [7, 2, 1, 0, 4]
        digest = hashlib.md5(splits.test.pixels.numpy().tobytes()).hexdigest()
        packed = lzma.decompress((FILES / "t10k-images-idx3-ubyte.xz").read_bytes())
        assert digest == hashlib.md5(packed[16:]).hexdigest()

    def test_pixels_are_mapped_and_what_is_written_to_them_stays_here(self, tmp_path):
        pixels = MNIST(str(tmp_path)).load().test.pixels
        assert "t10k-images-idx3-ubyte" in Path("/proc/self/maps").read_text()
        pixels += 1
        assert not torch.equal(pixels, MNIST(str(tmp_path)).load().test.pixels)

    def test_many_jobs_may_unpack_at_once(self, tmp_path):
        with ThreadPoolExecutor(4) as pool:
            sizes = list(pool.map(lambda _: len(MNIST(str(tmp_path)).load().train), range(4)))
        assert sizes == [60_000] * 4
        assert [path.name for path in tmp_path.iterdir()] == ["PackagedMNIST"]

    def test_a_damaged_cache_is_mended(self, tmp_path):
        MNIST(str(tmp_path)).load()
        labels = tmp_path / "PackagedMNIST" / "raw" / "train-labels-idx1-ubyte"
        labels.write_bytes(labels.read_bytes()[:-1000])
        assert len(MNIST(str(tmp_path)).load().train.labels) == 60_000

    def test_damaged_packaged_files_are_refused(self, tmp_path):
        files = tmp_path / "files"
        shutil.copytree(FILES, files)
        images = files / "t10k-images-idx3-ubyte.xz"
        images.write_bytes(images.read_bytes()[:-100])
        with pytest.raises(DataError, match="damaged"):
            unpack(tmp_path / "cache", files)
        images.unlink()
        with pytest.raises(DataError, match="missing"):
            unpack(tmp_path / "cache", files)
        assert not list((tmp_path / "cache").iterdir())

    def test_a_cache_that_cannot_be_written_is_named(self, tmp_path):
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(DataError, match=r"paths\.cache"):
            MNIST(str(tmp_path / "file" / "cache")).load()
