"""The codes of images, and the labels that a model may see while it encodes them."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from vae_exp.architecture import Classifies, Generative, Model


@dataclass(frozen=True)
class Codes:
    """The codes of N images.

    Args:
        code: The code of each image, (N, latent_dim). If the code is random, this is the mean of q(z|x),
            or of a flow its value at the mean of its base.
        log_variance: log σ² of q(z|x), (N, latent_dim); None if the code is a function of the image,
            or if q(z|x) is a flow, whose variance is not known.
        label: The labels of the images, (N,) int64, −1 where unknown.
        predicted: The most probable class of each image, (N,) int64; None if the model is not a classifier.
    """

    code: Tensor
    log_variance: Tensor | None
    label: Tensor
    predicted: Tensor | None


def visible_labels(model: Model, y: Tensor) -> Tensor:
    """Return the labels that a model may see: −1 for all of them if it is a classifier, which has to predict them."""
    return torch.full_like(y, -1) if isinstance(model, Classifies) else y


def encode_images(model: Model, batches: Iterable[tuple[Tensor, Tensor]]) -> Codes:
    """Encode images in batches.

    Args:
        model: The model, in evaluation mode, with parameters that need no gradient.
        batches: Images (B, C, H, W) and labels (B,), at least one batch.
    """
    encoded = [_encode(model, x, y) for x, y in batches]
    label = torch.cat([codes.label for codes in encoded])
    code = torch.cat([codes.code for codes in encoded])
    return Codes(code, _joined([c.log_variance for c in encoded]), label, _joined([c.predicted for c in encoded]))


def _encode(model: Model, x: Tensor, y: Tensor) -> Codes:
    visible = visible_labels(model, y)
    predicted = model.classify(x).argmax(1) if isinstance(model, Classifies) else None
    if isinstance(model, Generative):
        q = model.posterior(x, visible)
        return Codes(q.mean, q.closed_log_variance(), y, predicted)
    return Codes(model.autoencoder.encode(x, visible), None, y, predicted)


def _joined(parts: list[Tensor | None]) -> Tensor | None:
    present = [part for part in parts if part is not None]
    return torch.cat(present) if present else None
