"""Folders of images as data sets: their splits and the shape of their images."""

import pytest
import torch
from folders import draw, numbered, touched

from vae_exp.dataset import Dataset
from vae_exp.errors import ConfigError


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
