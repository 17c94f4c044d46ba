"""Sources from outside that do not keep their contract: one message each, with the split and the first bad image."""

from dataclasses import replace

import pytest
import torch

from vae_exp.dataset import Dataset
from vae_exp.dataset.base import Images, Info, Source, Splits
from vae_exp.errors import DataError
from vae_exp.foreign import PartError

CPU = torch.device("cpu")
INFO = Info((1, 2, 3), ("a", "b"), sizes={"train": 6})
IMAGES = Images(torch.zeros(6, 1, 2, 3, dtype=torch.uint8), torch.tensor([0, 1, -1, 0, 1, 0]))
FLOATS = replace(IMAGES, pixels=torch.rand(6, 1, 2, 3))


class Made(Source):
    """A source that says and returns what it is given."""

    def __init__(self, info, train, test=None, validation=None):
        self.info, self.splits = info, Splits(train, test or IMAGES, validation)

    def describe(self):
        return self.info

    def load(self):
        return self.splits


def with_value(value, position):
    pixels = torch.rand(6, 1, 2, 3)
    pixels[position, 0, 1, 2] = value
    return Images(pixels, IMAGES.labels)


@pytest.mark.parametrize("values", ["levels", "unit", "real"])
def test_images_that_are_as_described_are_loaded(values):
    images = {"levels": IMAGES, "unit": FLOATS, "real": with_value(-3.0, 1)}[values]
    data = Dataset(Made(replace(INFO, values=values), images, images, images))
    data.load(CPU)
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 6, "validation": 6, "test": 6}


@pytest.mark.parametrize(
    ("info", "message"),
    [
        ({"shape": (1, 2, 3)}, r"must return an Info, and returns a dict"),
        (Info((2, 3)), r"\.shape must be \(C, H, W\), and is \(2, 3\)"),
        (Info((1, 0, 3)), r"\.shape must be \(C, H, W\), and is \(1, 0, 3\)"),
        (Info((1, 2, 3), (0, 1)), r"\.class_names must be a tuple of texts, and is \(0, 1\)"),
        (Info((1, 2, 3), values="bytes"), r"\.values must be one of levels, unit, real, and is 'bytes'"),
    ],
)
def test_a_description_that_is_none(info, message):
    with pytest.raises(PartError, match=rf"^dataset\.source: Made\.describe\(\).*{message} \(docs/own_parts\.md\)$"):
        Dataset(Made(info, IMAGES))


@pytest.mark.parametrize(
    ("info", "train", "message"),
    [
        (INFO, IMAGES.pixels, r"train must be Images, and is a Tensor"),
        (INFO, FLOATS, r"train\.pixels must be torch\.uint8 for values=levels, and is torch\.float32"),
        (replace(INFO, values="unit"), IMAGES, r"train\.pixels must be torch\.float32 for values=unit"),
        (replace(INFO, values="unit"), with_value(1.5, 4), r"must be in \[0, 1\] for values=unit, and image 4 is not"),
        (replace(INFO, values="real"), with_value(float("nan"), 5), r"must be finite .*, and image 5 is not"),
        (INFO, replace(IMAGES, pixels=IMAGES.pixels.mT), r"must have the shape \(N, 1, 2, 3\), as described, not \(6"),
        (INFO, IMAGES[:0], r"must have the shape \(N, 1, 2, 3\), as described, not \(0, 1, 2, 3\)"),
        (INFO, replace(IMAGES, pixels=IMAGES.pixels.numpy()), r"train\.pixels must be a tensor, and is a ndarray"),
        (INFO, IMAGES[:5], r"train must have 6 images, as described, not 5"),
        (INFO, replace(IMAGES, labels=IMAGES.labels[:5]), r"train\.labels must have the shape \(6,\), one per image"),
        (INFO, replace(IMAGES, labels=IMAGES.labels.int()), r"train\.labels must be torch\.int64, and is torch\.int32"),
        (INFO, replace(IMAGES, labels=IMAGES.labels + 1), r"must be -1 to 1, as there are 2 classes, and are 0 to 2"),
        (replace(INFO, class_names=()), IMAGES, r"must be -1 without classes, and are -1 to 1"),
    ],
)
def test_images_that_are_not_as_described(info, train, message):
    data = Dataset(Made(info, train))
    with pytest.raises(PartError, match=rf"^dataset\.source: Made\.load\(\)\..*{message}.*\(docs/own_parts\.md\)$"):
        data.load(CPU)


def test_the_other_splits_are_checked_too():
    for name in ("test", "validation"):
        data = Dataset(Made(INFO, IMAGES, **{name: FLOATS}))
        with pytest.raises(PartError, match=rf"Made\.load\(\)\.{name}\.pixels must be torch\.uint8"):
            data.load(CPU)


@pytest.mark.parametrize(
    ("error", "expected", "message"),
    [
        (KeyError("x_train"), PartError, r"^dataset\.source: KeyError: 'x_train' \(docs/own_parts\.md\)$"),
        (DataError("my.npz is missing"), DataError, r"^my\.npz is missing$"),
    ],
)
def test_an_exception_of_a_source_is_one_message(error, expected, message):
    class Raises(Made):
        def load(self):
            raise error

    data = Dataset(Raises(INFO, IMAGES))
    with pytest.raises(expected, match=message):
        data.load(CPU)
