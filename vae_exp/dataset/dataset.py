"""A dataset: the images of a source, divided into splits, in the memory of the training device."""

import torch
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor

from vae_exp.dataset.base import Images, Source, balanced, shuffled
from vae_exp.dataset.batches import EvaluationBatches
from vae_exp.dataset.binarization import BINARIZE, Binarization, binarize_once
from vae_exp.dataset.serving import Counts, Serving
from vae_exp.dataset.standardisation import Standardisation, fit_standardisation
from vae_exp.errors import ConfigError


class Dataset:
    """Train, validation and test images in memory, as uint8 or floats.

    The training seed has no effect on the choice of the validation images, of the `train_size` training images and of
    the images that keep their label.

    Args:
        source: Where the images come from.
        batch_size: Images per training step.
        binarization: `none` (grey values, pixel/255), `threshold` (at one half), `dynamic` (drawn with probability
            pixel/255 each time an image is served), or `static` (drawn once).
        train_size: Number of training images to use; None uses all.
        validation_size: Number of training images to hold out.
        split_seed: The seed for the choice of these images and of the labelled images, and for the draw of `static`.
        labels: Number of training images that keep their label, the same number of each class; None for all. The
            labels of all other training images become −1 before anything can use them. Images held out for validation
            keep their labels.

    Raises:
        ConfigError: The dataset has no labels, `labels` is not a multiple of the number of classes, or real values are
            to be binarized.
        DataError: The files of the source are missing or damaged.
    """

    def __init__(
        self,
        source: Source,
        batch_size: PositiveInt = 100,
        binarization: Binarization = "none",
        train_size: PositiveInt | None = None,
        validation_size: NonNegativeInt = 0,
        split_seed: NonNegativeInt = 0,
        labels: PositiveInt | None = None,
    ) -> None:
        self.source = source
        self.info = source.describe()
        if labels is not None:
            _check_labels(labels, self.info.classes)
        if binarization != "none" and self.info.values == "real":
            raise ConfigError(f"dataset.binarization={binarization}: the values are real numbers. Allowed: none")
        self.batch_size = batch_size
        self.binarization = binarization
        self.binarized = binarization != "none"
        self.static = binarization == "static"
        self.dynamic = binarization == "dynamic"
        self.binarize = BINARIZE[binarization]
        self.train_size = train_size
        self.validation_size = validation_size
        self.split_seed = split_seed
        self.labels = labels
        self.splits: dict[str, Images] = {}
        self.standardisation: Standardisation | None = None
        """How the loaded pixels were standardised; None if they were not."""

    def load(self, device: torch.device) -> None:
        """Read the images and put the splits `train`, `validation` (if there is one) and `test` on the device.

        Raises:
            DataError: The images are missing, damaged or cannot be downloaded.
            ConfigError: The configuration needs more images or labels than there are.
        """
        loaded = self.source.load()
        train, validation = self._divide(loaded.train, loaded.validation)
        if self.labels is not None:
            train = _few_labels(train, balanced(train.labels, self.labels, self.info.classes, self.split_seed))
        splits = {"train": train, "validation": validation, "test": loaded.test}
        if loaded.standardise:
            self.standardisation = fit_standardisation(train)
            splits = {name: self.standardisation.apply(images) for name, images in splits.items()}
        if self.static:
            splits = {
                name: binarize_once(images, self.split_seed + i) for i, (name, images) in enumerate(splits.items())
            }
        self.splits = {name: images.to(device) for name, images in splits.items() if len(images)}

    @property
    def counts(self) -> Counts:
        """The number of training images, and of those with a label."""
        labels = self.splits["train"].labels
        return Counts(len(labels), int((labels >= 0).sum()))

    def training_batch_size(self, serving: Serving) -> int:
        """Return the number of images per training batch: `batch_size`, or the whole training set."""
        return len(self.splits["train"]) if serving.full else self.batch_size

    def evaluation_batches(self, split: str, batch_size: int, images: int | None = None) -> EvaluationBatches:
        """Return batches with every image of a split once, or only with the first `images` ones."""
        return EvaluationBatches(self.splits[split][:images], self.binarize, batch_size, self.levels, self.log_jacobian)

    @property
    def log_jacobian(self) -> float:
        """What log p(x) of the pixels in their original units is above log p of the standardised ones, nats per image.

        It is 0 if the pixels are not standardised.
        """
        return 0.0 if self.standardisation is None else self.standardisation.log_jacobian

    @property
    def levels(self) -> int | None:
        """The number of values that a pixel can have; None if it is a float."""
        if self.binarized:
            return 2
        return 256 if self.info.values == "levels" else None

    def _divide(self, images: Images, validation: Images | None) -> tuple[Images, Images]:
        """Choose the training images and hold out validation images, unless the source has some of its own."""
        if validation is not None and self.validation_size:
            raise ConfigError(
                f"dataset.validation_size={self.validation_size}: the source has {len(validation)} validation images "
                "of its own. Leave it out"
            )
        available = len(images) - self.validation_size
        if available < 1:
            raise ConfigError(
                f"dataset.validation_size={self.validation_size}: there are {len(images)} training images"
            )
        size = available if self.train_size is None else self.train_size
        if size > available:
            raise ConfigError(
                f"dataset.train_size={size}: there are {len(images)} training images"
                + (
                    f", {self.validation_size} of them held out (dataset.validation_size)"
                    if self.validation_size
                    else ""
                )
            )
        own = images[:0] if validation is None else validation
        if size == len(images):
            return images, own
        order = shuffled(len(images), self.split_seed)
        # the validation images come first, so that they do not depend on train_size
        held_out = images[order[: self.validation_size]] if self.validation_size else own
        return images[order[self.validation_size :][:size]], held_out


def _check_labels(labels: int, classes: int) -> None:
    if not classes:
        raise ConfigError(f"dataset.labels={labels}: this dataset has no labels")
    if labels % classes:
        raise ConfigError(f"dataset.labels={labels}: is not allowed: a multiple of the {classes} classes is needed")


def _few_labels(images: Images, chosen: Tensor) -> Images:
    labels = torch.full_like(images.labels, -1)
    labels[chosen] = images.labels[chosen]
    return Images(images.pixels, labels)
