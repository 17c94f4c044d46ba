"""A dataset as Lightning knows it: splits, held on the training device."""

from typing import Any

import torch
from pydantic import NonNegativeInt, PositiveInt
from pytorch_lightning import LightningDataModule

from vae_exp.dataset.base import Images, Source, shuffled
from vae_exp.dataset.batches import EvaluationBatches, TrainingStream
from vae_exp.dataset.binarization import BINARIZE, Binarization, binarize_once
from vae_exp.errors import ConfigError


class DataModule(LightningDataModule):
    """Train, validation and test images, uint8 in memory.

    The validation images, and what `train_size` leaves out, are the same whatever the training seed is.

    Args:
        source: Where the images come from.
        batch_size: Images per training step.
        binarization: `none` (grey values, pixel/255), `threshold` (at one half), `dynamic` (drawn with probability
            pixel/255 each time an image is served), or `static` (drawn once).
        train_size: Use only so many training images; None for all.
        validation_size: Hold out so many training images.
        split_seed: Which images those are, and the draw of `static`.
    """

    def __init__(
        self,
        source: Source,
        batch_size: PositiveInt = 100,
        binarization: Binarization = "none",
        train_size: PositiveInt | None = None,
        validation_size: NonNegativeInt = 0,
        split_seed: NonNegativeInt = 0,
    ) -> None:
        super().__init__()
        self.source = source
        self.batch_size = batch_size
        self.static = binarization == "static"
        self.binarize = BINARIZE[binarization]
        self.train_size = train_size
        self.validation_size = validation_size
        self.split_seed = split_seed
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
            ConfigError: More images are asked for than there are.
        """
        loaded = self.source.load()
        train, validation = self._divide(loaded.train)
        splits = {"train": train, "validation": validation, "test": loaded.test}
        if self.static:
            splits = {
                name: binarize_once(images, self.split_seed + i) for i, (name, images) in enumerate(splits.items())
            }
        self.splits = {name: images.to(device) for name, images in splits.items() if len(images)}

    def train_dataloader(self) -> TrainingStream:
        """What is left of the experiment's budget: a resumed run goes on with the image that it stopped before."""
        assert self.trainer is not None
        experiment: Any = self.trainer.lightning_module
        return TrainingStream(
            self.splits["train"],
            self.binarize,
            self.training_batch_size(experiment.architecture.online),
            experiment.samples_seen,
            experiment.samples,
            experiment.seed,
            getattr(self.trainer, "steps_per_execution", 1),
            experiment.goals,
            experiment.architecture.evaluations_per_batch,
        )

    def training_batch_size(self, online: bool) -> int:
        """Images per batch of what learns from minibatches, and of what takes all training images at once."""
        return self.batch_size if online else len(self.splits["train"])

    def evaluation_batches(self, split: str, batch_size: int, images: int | None = None) -> EvaluationBatches:
        """Every image of a split once, or the first so many of them."""
        return EvaluationBatches(self.splits[split][:images], self.binarize, batch_size)

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
