from pathlib import Path

import pytest
import torch

from vae_exp.dataset import Dataset
from vae_exp.dataset.frey_face import FreyFace
from vae_exp.dataset.kmnist import KMNIST
from vae_exp.errors import ConfigError

CPU = torch.device("cpu")


class TestSplits:
    def load(self, small_data: Path, **arguments):
        data = Dataset(KMNIST(str(small_data)), **arguments)
        data.load(CPU)
        return data.splits

    def test_validation_comes_out_of_train_and_test_stays(self, small_data):
        splits = self.load(small_data, validation_size=20)
        assert {name: len(images) for name, images in splits.items()} == {"train": 100, "validation": 20, "test": 40}
        whole = self.load(small_data)["train"].pixels.flatten(1)
        parts = torch.cat([splits["train"].pixels, splits["validation"].pixels]).flatten(1)
        assert torch.equal(parts.unique(dim=0), whole.unique(dim=0))
        assert torch.equal(splits["test"].pixels, self.load(small_data)["test"].pixels)

    def test_smaller_training_sets_lie_in_larger_ones_and_validation_stays(self, small_data):
        small = self.load(small_data, train_size=30, validation_size=20)
        large = self.load(small_data, train_size=60, validation_size=20)
        assert torch.equal(small["train"].pixels, large["train"].pixels[:30])
        assert torch.equal(small["validation"].pixels, large["validation"].pixels)

    def test_split_seed_chooses_the_images(self, small_data):
        a, b = (self.load(small_data, train_size=30, split_seed=seed)["train"].pixels for seed in (0, 1))
        assert not torch.equal(a, b)

    def test_more_images_than_there_are_is_refused(self, small_data):
        with pytest.raises(ConfigError, match=r"dataset\.train_size=121: there are 120"):
            self.load(small_data, train_size=121)
        with pytest.raises(ConfigError, match=r"dataset\.validation_size=120"):
            self.load(small_data, validation_size=120)


class TestLabels:
    def load(self, small_data, **arguments):
        data = Dataset(KMNIST(str(small_data)), **arguments)
        data.load(CPU)
        return data

    def test_the_labelled_images_are_balanced_and_the_same_each_time(self, small_data):
        data, again, other = (self.load(small_data, labels=30, split_seed=seed) for seed in (0, 0, 1))
        labels, all_labels = data.splits["train"].labels, self.load(small_data).splits["train"].labels
        known = labels >= 0
        assert labels[known].bincount().tolist() == [3] * 10
        assert data.counts.labelled == 30
        assert torch.equal(labels[known], all_labels[known])
        assert torch.equal(labels, again.splits["train"].labels)
        assert not torch.equal(labels, other.splits["train"].labels)
        assert torch.equal(data.splits["train"].pixels, self.load(small_data).splits["train"].pixels)
        assert (data.splits["test"].labels >= 0).all()

    def test_composes_with_a_smaller_training_set_and_validation(self, small_data):
        splits = self.load(small_data, labels=10, train_size=60, validation_size=20).splits
        assert splits["train"].labels[splits["train"].labels >= 0].bincount().tolist() == [1] * 10
        assert {name: len(images) for name, images in splits.items()} == {"train": 60, "validation": 20, "test": 40}
        assert (splits["validation"].labels >= 0).all()
        plain = self.load(small_data, train_size=60, validation_size=20).splits
        assert torch.equal(splits["train"].pixels, plain["train"].pixels)

    def test_what_cannot_be_had_is_refused(self, small_data):
        with pytest.raises(ConfigError, match=r"dataset\.labels=25: .*multiple of the 10 classes"):
            self.load(small_data, labels=25)
        with pytest.raises(ConfigError, match=r"dataset\.labels=130: needs 13 .*class 0 has only 12"):
            self.load(small_data, labels=130)
        with pytest.raises(ConfigError, match=r"dataset\.labels=10: this dataset has no labels"):
            Dataset(FreyFace(str(small_data)), labels=10)
