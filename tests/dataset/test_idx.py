"""Fashion-MNIST and KMNIST: IDX files that are read or downloaded."""

import shutil

import pytest
import torch
from images import write_idx
from torchvision import datasets

from vae_exp.dataset.fashion_mnist import FashionMNIST
from vae_exp.dataset.kmnist import KMNIST
from vae_exp.errors import DataError


@pytest.mark.parametrize(
    ("source", "dataset"), [(FashionMNIST, datasets.FashionMNIST), (KMNIST, datasets.KMNIST)], ids=str
)
class TestTorchvision:
    def test_reads_the_idx_files(self, source, dataset, small_data):
        splits = source(str(small_data)).load()
        assert (len(splits.train), len(splits.test)) == (120, 40)
        assert torch.equal(splits.test.labels, torch.arange(40) % 10)
        assert splits.train.pixels.shape[1:] == source(str(small_data)).describe().shape

    def test_missing_files_are_downloaded_or_refused_with_directions(self, source, dataset, tmp_path, monkeypatch):
        monkeypatch.setattr(dataset, "mirrors", ["http://127.0.0.1:9/"])
        with pytest.raises(DataError, match=r"paths\.data.*train-images-idx3-ubyte.*VAE_EXP_DATA"):
            source(str(tmp_path)).load()

    def test_a_file_cut_short_is_refused(self, source, dataset, tmp_path, small_data):
        shutil.copytree(small_data / dataset.__name__, tmp_path / dataset.__name__)
        images = tmp_path / dataset.__name__ / "raw" / "t10k-images-idx3-ubyte"
        images.write_bytes(images.read_bytes()[:-10])
        with pytest.raises(DataError, match="cut short"):
            source(str(tmp_path)).load()

    def test_images_of_another_size_are_refused(self, source, dataset, tmp_path, small_data):
        shutil.copytree(small_data / dataset.__name__, tmp_path / dataset.__name__)
        write_idx(tmp_path / dataset.__name__ / "raw" / "t10k-images-idx3-ubyte", torch.zeros(40, 14, 14))
        with pytest.raises(DataError, match=r"\(14, 14\)"):
            source(str(tmp_path)).load()

    def test_as_many_labels_as_images(self, source, dataset, tmp_path, small_data):
        shutil.copytree(small_data / dataset.__name__, tmp_path / dataset.__name__)
        write_idx(tmp_path / dataset.__name__ / "raw" / "t10k-labels-idx1-ubyte", torch.zeros(39))
        with pytest.raises(DataError, match="39 labels"):
            source(str(tmp_path)).load()
