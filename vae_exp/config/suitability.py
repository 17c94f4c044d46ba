"""Checks that a model suits the data that it is trained on."""

from vae_exp.architecture import Autoencoder, Model
from vae_exp.dataset import Dataset
from vae_exp.errors import ConfigError

EXPLAINED = {"unit": "those in [0, 1]", "levels": "the 256 levels 0, 1/255, …, 1"}
"""The pixels that a likelihood explains, by its `support`."""


def check_pixels(architecture: Model, data: Dataset) -> None:
    """Check that the likelihood suits the pixels that it is trained on.

    | pixels | Bernoulli | continuous Bernoulli, Beta | Gaussian, Laplace, Student | with mean=identity | discrete |
    |---|---|---|---|---|---|
    | levels | yes | yes | yes | yes | yes |
    | unit | yes | yes | yes | yes | no |
    | binarized | yes | no | fixed width only | fixed width only | yes |
    | real | no | no | no | yes | no |

    The discrete ones, categorical and logistic mixture, give probabilities to 256 levels; 0 and 1 are two of them.

    Raises:
        ConfigError: The pixels are dequantised, and the likelihood is no density; they are binary, and it is a density
            that grows without bound on them; or they are real numbers, and it explains only those in [0, 1]; or they
            are any numbers in [0, 1], and it explains only 256 levels.
    """
    if not isinstance(architecture, Autoencoder):
        return
    likelihood = architecture.likelihood
    if data.dequantise and not likelihood.density:
        raise ConfigError(
            f"dataset.dequantise=true: is for densities, and this {type(likelihood).__name__} gives probabilities. "
            "Allowed: dataset.dequantise=false, or likelihood=gaussian, beta or another density"
        )
    if data.binarized and likelihood.unbounded:
        raise ConfigError(
            f"dataset.binarization={data.binarization}: pixels are 0 or 1, and the density of this "
            f"{type(likelihood).__name__} grows without bound on them. Allowed: "
            "dataset.binarization=none, likelihood=bernoulli, or a fixed width: likelihood=gaussian "
            "likelihood.variance=fixed, likelihood=laplace likelihood.width=fixed"
        )
    if data.info.values == "real" and likelihood.support != "real":
        raise ConfigError(
            f"likelihood: the values of this dataset are real numbers, and this {type(likelihood).__name__} explains "
            f"only {EXPLAINED[likelihood.support]}. Allowed: likelihood=gaussian likelihood.mean=identity, or values "
            "in [0, 1] (dataset.source.standardise=true makes them real)"
        )
    if data.info.values == "unit" and not data.binarized and likelihood.support == "levels":
        raise ConfigError(
            f"likelihood: the values of this dataset are any numbers in [0, 1], and this {type(likelihood).__name__} "
            f"explains only {EXPLAINED['levels']}. Allowed: likelihood=beta, gaussian or another density, or a fixed "
            "number of levels: integers from 0 to 255"
        )


def check_labels(architecture: Model, data: Dataset) -> None:
    """Check that the loaded images have the labels that the model needs.

    Raises:
        ConfigError: The model needs a label for every image and one has none; it needs some labels and no training
            image has one; or a batch leaves no room for images without a label.
    """
    missing = {split: int((images.labels < 0).sum()) for split, images in data.splits.items()}
    name = type(architecture).__name__
    if architecture.needs_labels and any(missing.values()):
        few = ", ".join(f"{count:,} of the {split} split" for split, count in missing.items() if count)
        raise ConfigError(f"dataset: this {name} needs the label of every image, and {few} have none")
    if architecture.serving.labelled and missing["train"]:
        if not data.counts.labelled:
            raise ConfigError(f"dataset: {name} learns from some images with a label, and no training image has one")
        _check_room(architecture, data)


def check_draws(architecture: Model, data: Dataset) -> None:
    """Check that images that are drawn anew each time are not looked at several times.

    Raises:
        ConfigError: The objective does that.
    """
    if data.drawn and architecture.serving.repeats > 1:
        key = "dataset.dequantise=true" if data.dequantise else "dataset.binarization=dynamic"
        raise ConfigError(
            f"{key}: draws an image anew each time, and this objective looks at it several times before the next one. "
            "Allowed: dataset.dequantise=false, and dataset.binarization=none, threshold or static"
        )


def check_few_labels(architecture: Model, data: Dataset) -> None:
    """Check that the model can learn from the images of `dataset.labels`, of which few have a label.

    Raises:
        ConfigError: It needs every label, or a batch leaves no room for images without a label.
    """
    if architecture.needs_labels:
        raise ConfigError(
            f"dataset.labels={data.labels}: this {type(architecture).__name__} needs the label of every "
            "image; architecture=m2 learns from a few"
        )
    _check_room(architecture, data)


def _check_room(architecture: Model, data: Dataset) -> None:
    if architecture.serving.labelled >= data.batch_size:
        raise ConfigError(
            f"architecture.labelled_per_batch={architecture.serving.labelled}: leaves no room in a batch for images "
            f"without a label (dataset.batch_size={data.batch_size})"
        )
