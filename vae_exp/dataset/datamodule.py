"""A dataset as Lightning knows it: splits, held on the training device."""

from typing import Any

import torch
from pydantic import NonNegativeInt, PositiveInt
from pytorch_lightning import LightningDataModule
from torch import Tensor

from vae_exp.dataset.base import Images, Source, balanced, shuffled
from vae_exp.dataset.batches import EvaluationBatches, TrainingStream
from vae_exp.dataset.binarization import BINARIZE, Binarization, binarize_once
from vae_exp.errors import ConfigError


class DataModule(LightningDataModule):
    """Train, validation and test images, uint8 in memory.

    The validation images, what `train_size` leaves out, and which images keep their label, are the same whatever the
    training seed is.

    Args:
        source: Where the images come from.
        batch_size: Images per training step.
        binarization: `none` (grey values, pixel/255), `threshold` (at one half), `dynamic` (drawn with probability
            pixel/255 each time an image is served), or `static` (drawn once).
        train_size: Use only so many training images; None for all.
        validation_size: Hold out so many training images.
        split_seed: Which images those and the labelled ones are, and the draw of `static`.
        labels: So many training images keep their label, as many of each class; None for all. The label of every
            other one becomes −1 before anything sees it. Images held out for validation keep theirs.

    Raises:
        ConfigError: So many labels cannot be had.
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
        super().__init__()
        if labels is not None:
            _check_labels(labels, source.classes)
        self.source = source
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

    def setup(self, stage: str) -> None:
        """Load the images onto the training device, unless that is done."""
        if not self.splits:
            assert self.trainer is not None
            self.load(self.trainer.strategy.root_device)

    def load(self, device: torch.device) -> None:
        """Read the images and put the splits `train`, `validation` (where there is one) and `test` on the device.

        Raises:
            DataError: The images cannot be had.
            ConfigError: More images or labels are asked for than there are.
        """
        loaded = self.source.load()
        train, validation = self._divide(loaded.train)
        if self.labels is not None:
            train = _few_labels(train, balanced(train.labels, self.labels, self.source.classes, self.split_seed))
        splits = {"train": train, "validation": validation, "test": loaded.test}
        if self.static:
            splits = {
                name: binarize_once(images, self.split_seed + i) for i, (name, images) in enumerate(splits.items())
            }
        self.splits = {name: images.to(device) for name, images in splits.items() if len(images)}

    @property
    def labelled(self) -> int:
        """How many training images have a label."""
        return int((self.splits["train"].labels >= 0).sum())

    def train_dataloader(self) -> TrainingStream:
        """What is left of the experiment's budget: a resumed run goes on with the image that it stopped before."""
        assert self.trainer is not None
        return self.training_stream(self.trainer.lightning_module)

    def training_stream(self, experiment: Any) -> TrainingStream:
        """The same, of an experiment."""
        mixed = self.labelled < len(self.splits["train"])
        return TrainingStream(
            self.splits["train"],
            self.binarize,
            self.training_batch_size(experiment.architecture.online),
            experiment.samples_seen,
            experiment.samples,
            experiment.seed,
            experiment.updates_per_execution,
            experiment.goals,
            experiment.architecture.evaluations_per_batch,
            experiment.architecture.labelled_per_batch if mixed else 0,
            experiment.share,
            experiment.architecture.undivided,
        )

    def training_batch_size(self, online: bool) -> int:
        """Images per batch of what learns from minibatches, and of what takes all training images at once."""
        return self.batch_size if online else len(self.splits["train"])

    def evaluation_batches(self, split: str, batch_size: int, images: int | None = None) -> EvaluationBatches:
        """Every image of a split once, or the first so many of them."""
        return EvaluationBatches(self.splits[split][:images], self.binarize, batch_size, 2 if self.binarized else 256)

    def _divide(self, images: Images) -> tuple[Images, Images]:
        left = len(images) - self.validation_size
        if left < 1:
            raise ConfigError(
                f"dataset.validation_size={self.validation_size}: there are {len(images)} training images"
            )
        size = left if self.train_size is None else self.train_size
        if size > left:
            raise ConfigError(
                f"dataset.train_size={size}: there are {len(images)} training images"
                + (
                    f", {self.validation_size} of them held out (dataset.validation_size)"
                    if self.validation_size
                    else ""
                )
            )
        if size == len(images):
            return images, images[:0]
        order = shuffled(len(images), self.split_seed)
        # the validation images come first, so that they stay the same whatever train_size is
        return images[order[self.validation_size :][:size]], images[order[: self.validation_size]]


def _check_labels(labels: int, classes: int) -> None:
    if not classes:
        raise ConfigError(f"dataset.labels={labels}: this dataset has no labels")
    if labels % classes:
        raise ConfigError(f"dataset.labels={labels}: is not allowed: a multiple of the {classes} classes is needed")


def _few_labels(images: Images, chosen: Tensor) -> Images:
    labels = torch.full_like(images.labels, -1)
    labels[chosen] = images.labels[chosen]
    return Images(images.pixels, labels)
