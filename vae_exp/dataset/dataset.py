"""A dataset: the images of a source, divided into splits, in the memory of the training device or elsewhere."""

import logging
from collections.abc import Callable

import torch
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor

from vae_exp.dataset.base import Images, Info, Source, Splits, balanced_choice, permutation
from vae_exp.dataset.batches import EvaluationBatches
from vae_exp.dataset.binarization import BINARIZE, DRAWN, Binarization, binarize_once, dequantised
from vae_exp.dataset.contract import KEY, check_info, check_splits
from vae_exp.dataset.host import HostImages
from vae_exp.dataset.placement import PLACES, Placement, choose
from vae_exp.dataset.serving import Counts, Serving
from vae_exp.dataset.standardisation import Standardisation, fit_standardisation
from vae_exp.errors import ConfigError
from vae_exp.foreign import is_foreign, reported

log = logging.getLogger(__name__)

AnyImages = Images | HostImages


class Dataset:
    """Train, validation and test images in memory, as uint8 or floats.

    The training seed has no effect on the choice of the validation images, of the `train_size` training images and of
    the images that keep their label.

    Args:
        source: Where the images come from.
        batch_size: Images per training step.
        binarization: `none` (grey values, pixel/255), `threshold` (at one half), `dynamic` (drawn with probability
            pixel/255 each time an image is served), or `static` (drawn once).
        dequantise: Whether to draw x = (pixel + u)/256, u ~ U(0, 1), each time an image is served, in place of
            pixel/255. A bound on the log density of x is then one on the log probability of the 256 levels, but for D
            ln 256 (Theis et al. 2016, arXiv 1511.01844, section 3.1).
        train_size: Number of training images to use; None uses all.
        validation_size: Number of training images to hold out.
        split_seed: The seed for the choice of these images and of the labelled images, and for the draw of `static`.
        labels: Number of training images that keep their label, the same number of each class; None for all. The
            labels of all other training images become −1 before anything can use them. Images held out for validation
            keep their labels.
        placement: Where the images lie during the training: `device`, in the memory of the device that trains; `host`,
            in host memory; `disk`, in a memory-mapped file, for images larger than memory; `auto`, the first of these
            with enough free memory. The numbers do not depend on it.

    Raises:
        ConfigError: The dataset has no labels, `labels` is not a multiple of the number of classes, real values are to
            be binarized, or pixels without 256 levels are to be dequantised.
        DataError: The files of the source are missing or damaged.
        PartError: A source from outside this package does not describe its images.
    """

    def __init__(
        self,
        source: Source,
        batch_size: PositiveInt = 100,
        binarization: Binarization = "none",
        dequantise: bool = False,
        train_size: PositiveInt | None = None,
        validation_size: NonNegativeInt = 0,
        split_seed: NonNegativeInt = 0,
        labels: PositiveInt | None = None,
        placement: Placement = "auto",
    ) -> None:
        self.source = source
        self.info = _described(source)
        if labels is not None:
            _check_labels(labels, self.info.classes)
        if binarization != "none" and self.info.values == "real":
            raise ConfigError(f"dataset.binarization={binarization}: the values are real numbers. Allowed: none")
        if dequantise and (binarization != "none" or self.info.values != "levels"):
            raise ConfigError("dataset.dequantise=true: is for pixels of 256 levels that are not binarized")
        self.batch_size = batch_size
        self.binarization = binarization
        self.binarized = binarization != "none"
        self.static = binarization == "static"
        self.dequantise = dequantise
        self.binarize = dequantised if dequantise else BINARIZE[binarization]
        self.drawn = self.binarize in DRAWN
        self.train_size = train_size
        self.validation_size = validation_size
        self.split_seed = split_seed
        self.labels = labels
        self.placement = placement
        self.splits: dict[str, AnyImages] = {}
        self.standardisation: Standardisation | None = None
        """How the loaded pixels were standardised; None if they were not."""

    def load(self, device: torch.device) -> None:
        """Read the images and put the splits `train`, `validation` (if there is one) and `test` in their place.

        Args:
            device: The device that computes. If the images lie elsewhere, it gets each batch when it is needed.

        Raises:
            DataError: The images are missing, damaged or cannot be downloaded.
            ConfigError: The configuration needs more images or labels than there are.
            PartError: The images of a source from outside this package are not what it described.
        """
        loaded = _loaded(self.source, self.info)
        wrap = self._wrapping(loaded, device)
        train, validation = self._divide(wrap(loaded.train), loaded.validation and wrap(loaded.validation))
        if self.labels is not None:
            train = _few_labels(train, balanced_choice(train.labels, self.labels, self.info.classes, self.split_seed))
        splits = {"train": train, "validation": validation, "test": wrap(loaded.test)}
        if loaded.standardise and isinstance(train, Images):
            self.standardisation = fit_standardisation(train)
        for i, (name, images) in enumerate(splits.items()):
            if self.standardisation is not None and isinstance(images, Images):
                splits[name] = self.standardisation.apply(images)
            if self.static and isinstance(images, Images):
                splits[name] = binarize_once(images, self.split_seed + i)
        self.splits = {name: images.to(device) for name, images in splits.items() if len(images)}

    @property
    def counts(self) -> Counts:
        """The number of training images, and of those with a label."""
        labels = self.splits["train"].labels
        return Counts(len(labels), int((labels >= 0).sum()))

    @property
    def split_to_choose_by(self) -> str:
        """The split that models and learning rates are chosen by: `validation` if there is one, otherwise `train`."""
        return "validation" if "validation" in self.splits else "train"

    def training_batch_size(self, serving: Serving) -> int:
        """Return the number of images per training batch: `batch_size`, or the whole training set."""
        return len(self.splits["train"]) if serving.full else self.batch_size

    def evaluation_batches(self, split: str, batch_size: int, images: int | None = None) -> EvaluationBatches:
        """Return batches with every image of a split once, or only with the first `images` ones."""
        some = self.splits[split].select(slice(images))
        return EvaluationBatches(some, self.binarize, batch_size, self.step, self.log_jacobian)

    def spread(self, count: int) -> Tensor:
        """Return training images (count, C, H, W) at equal distances; `count` is at most their number."""
        images = self.splits["train"]
        index = torch.arange(count, device=images.labels.device) * len(images) // count
        ((x, _),) = EvaluationBatches(images.select(index), self.binarize, count)
        return x

    @property
    def log_jacobian(self) -> float:
        """What log p(x) of the pixels in their original units is above log p of the standardised ones, nats per image.

        It is 0 if the pixels are not standardised.
        """
        return 0.0 if self.standardisation is None else self.standardisation.log_jacobian

    @property
    def step(self) -> float | None:
        """The distance between two of the 256 levels of a pixel; None if pixels have other values."""
        if self.binarized or self.info.values != "levels":
            return None
        return 1 / 256 if self.dequantise else 1 / 255

    def _wrapping(self, loaded: Splits, device: torch.device) -> Callable[[Images], AnyImages]:
        """Choose where the images lie, and return the function that wraps a split of the source accordingly."""
        on_disk = loaded.train.on_disk
        size = sum(images.pixels.nbytes for images in (loaded.train, loaded.validation, loaded.test) if images)
        if self.placement == "disk" and not on_disk:
            raise ConfigError(
                "dataset.placement=disk: this dataset is not an array on disk. Allowed: auto, device, host"
            )
        placement = choose(self.placement, size, device, on_disk)
        if placement == "device":
            return Images.in_memory
        if self.static or loaded.standardise:
            key = "dataset.binarization=static" if self.static else "dataset.source.standardise=true"
            raise ConfigError(
                f"{key}: computes all images once, in the device's memory, but dataset.placement={placement} leaves "
                f"them {PLACES[placement]}"
            )
        log.info("The images stay %s; each batch is copied when it is needed", PLACES[placement])
        if placement == "host":
            return lambda images: HostImages(images.in_memory().pixels, images.labels, device)
        return lambda images: HostImages(images.pixels, images.labels, device, images.rows)

    def _divide(self, images: AnyImages, validation: AnyImages | None) -> tuple[AnyImages, AnyImages]:
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
        own = images.select(slice(0)) if validation is None else validation
        if size == len(images):
            return images, own
        order = permutation(len(images), self.split_seed)
        # the validation images come first, so that they do not depend on train_size
        held_out = images.select(order[: self.validation_size]) if self.validation_size else own
        return images.select(order[self.validation_size :][:size]), held_out


def _described(source: Source) -> Info:
    if not is_foreign(source):
        return source.describe()
    with reported(KEY):
        info = source.describe()
        check_info(info, type(source).__name__)
    return info


def _loaded(source: Source, info: Info) -> Splits:
    if not is_foreign(source):
        return source.load()
    with reported(KEY):
        splits = source.load()
        check_splits(splits, info, type(source).__name__)
    return splits


def _check_labels(labels: int, classes: int) -> None:
    if not classes:
        raise ConfigError(f"dataset.labels={labels}: this dataset has no labels")
    if labels % classes:
        raise ConfigError(f"dataset.labels={labels}: is not allowed: a multiple of the {classes} classes is needed")


def _few_labels(images: AnyImages, chosen: Tensor) -> AnyImages:
    labels = torch.full_like(images.labels, -1)
    labels[chosen] = images.labels[chosen]
    return images.with_labels(labels)
