"""Measure the quality of a model's codes on the images of a split."""

import math
from typing import Any

import torch
from torch import Tensor

from vae_exp.architecture import Autoencoder, Classifies, Generative, Model
from vae_exp.dataset import Dataset
from vae_exp.evaluation.active_units import active_units
from vae_exp.evaluation.bounds import MOST_ENCODED_IMAGES
from vae_exp.evaluation.codes import visible_labels
from vae_exp.evaluation.information import information
from vae_exp.evaluation.pca import decoder_directions, principal_angles, principal_components
from vae_exp.evaluation.representation import (
    jacobian_norm,
    linear_probe_accuracy,
    nearest_neighbours_accuracy,
    share_of_saturated_units,
)
from vae_exp.evaluation.standard_errors import over_images
from vae_exp.prior.normal import DiagonalNormal

IMAGES_PER_BATCH = 100
"""Number of images per batch."""

FEW_IMAGES = 1000
"""Default number of images per split for a model without an encoder, which cannot encode them in one pass."""


def evaluate_code(model: Model, data: Dataset, examples: tuple[Tensor, Tensor], split: str) -> dict[str, Any]:
    """Evaluate the codes of a split's images: reconstructions, labels, principal components, sensitivity.

    Args:
        model: The model, in evaluation mode.
        data: The loaded data. Its training images are needed to classify codes and for principal components.
        examples: Images (B, C, H, W) and labels (B,) of the split.
        split: The name of the split.

    Returns:
        Metrics by name; None for a metric that has no meaning for this model.
    """
    x, y = examples
    visible = visible_labels(model, y)
    autoencoder = model.autoencoder
    codes = _encode(autoencoder, x, visible)
    results: dict[str, Any] = {"active_units": active_units(codes), "saturated_units": share_of_saturated_units(codes)}
    if isinstance(model, Autoencoder):
        results["squared_error"] = _squared_error(model, codes, x, visible)
        corrupted = model.corrupt(x)
        if corrupted is not x:
            codes_of_corrupted = _encode(model, corrupted, visible)
            results["squared_error_of_corrupted"] = _squared_error(model, codes_of_corrupted, x, visible)
    if isinstance(model, Generative) and model.amortized:
        results |= _information(model, x[:MOST_ENCODED_IMAGES], visible[:MOST_ENCODED_IMAGES])
    labelled = y >= 0
    if isinstance(model, Classifies) and labelled.any():
        guesses = torch.cat([model.classify(images).argmax(1) for images in x.split(IMAGES_PER_BATCH)])
        results["error"] = (guesses != y)[labelled].double().mean().item()
    if isinstance(model, Autoencoder) and not isinstance(model, Generative):
        columns = decoder_directions(model)
        results |= {} if columns is None else _beside_principal_components(columns, x, data)
    # only for the first images: without a closed form it needs one backward pass per latent
    sensitivity = (
        jacobian_norm(autoencoder, x[:IMAGES_PER_BATCH], visible[:IMAGES_PER_BATCH]) if model.amortized else None
    )
    results["jacobian_norm"] = sensitivity
    if data.info.classes and (isinstance(model, Classifies) or not model.classes):  # else the code depends on the label
        results |= _accuracies(model, data, (codes, y), split)
    return results


def _encode(model: Autoencoder, x: Tensor, y: Tensor) -> Tensor:
    return torch.cat(
        [model.encode(*batch) for batch in zip(x.split(IMAGES_PER_BATCH), y.split(IMAGES_PER_BATCH), strict=True)]
    )


def _information(model: Generative, x: Tensor, y: Tensor) -> dict[str, Any]:
    """Estimate the mutual information and KL(q(z)‖p(z)). The draws change no other estimate.

    The result is empty for a posterior other than the diagonal one: the density of all posteriors at all draws is then
    not known, or takes too long.
    """
    batches = zip(x.split(IMAGES_PER_BATCH), y.split(IMAGES_PER_BATCH), strict=True)
    posteriors = [q for q in (model.posterior(*batch) for batch in batches) if isinstance(q, DiagonalNormal)]
    if not posteriors:
        return {}
    q = DiagonalNormal(torch.cat([q.loc for q in posteriors]), torch.cat([q.log_variance for q in posteriors]))
    with torch.random.fork_rng(devices=[]):
        found = information(model, q)
    return {
        "mutual_information": over_images(found.mutual_information),
        "largest_mutual_information": math.log(len(x)),
        "aggregated_kl": over_images(found.aggregated_kl),
    }


def _squared_error(model: Autoencoder, codes: Tensor, x: Tensor, y: Tensor) -> float:
    """Return the mean squared error of the reconstructions from these codes, summed over the pixels of an image."""
    images = model.decode(codes, model.fill_labels(x, y)).mean
    return (images - x).square().flatten(1).sum(1).mean().item()


def _beside_principal_components(columns: Tensor, x: Tensor, data: Dataset) -> dict[str, float]:
    """Compare the directions (D, K) of a linear decoder with the first K principal components."""
    pixels = torch.cat([images for images, _ in data.evaluation_batches("train", IMAGES_PER_BATCH)])
    pca = principal_components(pixels, columns.shape[1])
    # if the last component and the next have nearly the same variance, training separates them last
    wider = principal_components(pixels, min(columns.shape[1] + 1, columns.shape[0])).components
    return {
        "pca_squared_error": pca.squared_error(x).mean().item(),
        "largest_angle_to_pca": principal_angles(columns, pca.components).max().rad2deg().item(),
        "largest_angle_to_pca_with_one_more": principal_angles(wider, columns).max().rad2deg().item(),
    }


def _accuracies(model: Model, data: Dataset, coded: tuple[Tensor, Tensor], split: str) -> dict[str, float]:
    """Predict the labels of the codes (N, D) of a split with labels (N,) from the codes of the training images.

    The result is empty if one of the two splits has no labels.
    """
    most = None if model.amortized else FEW_IMAGES
    batches = data.evaluation_batches("train", IMAGES_PER_BATCH, most)
    pairs = [(_encode(model.autoencoder, x, visible_labels(model, y)), y) for x, y in batches]
    fitted, labels = (torch.cat(parts) for parts in zip(*pairs, strict=True))
    codes, y = coded
    has_label, labelled, among = labels >= 0, y >= 0, split == "train"
    compared = fitted[has_label], labels[has_label], codes[labelled], y[labelled]
    if has_label.sum() <= among or not labelled.any():
        return {}
    probe = "linear_probe_training_accuracy" if among else "linear_probe_accuracy"
    return {
        "nearest_neighbours_accuracy": nearest_neighbours_accuracy(*compared, among=among),
        probe: linear_probe_accuracy(*compared),
    }
