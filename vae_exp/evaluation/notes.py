"""Notes that help to interpret a model's nats correctly."""

import torch
from torch import Tensor

from vae_exp.architecture import Autoencoder, Generative, Model

NO_LABELS = "log p(x)"


def ceiling(model: Model, x: Tensor) -> float | None:
    """Compute the largest possible bound and log p(x) on grey images under a Bernoulli: −Σ H(x), in nats.

    E_b[log p(b)] over binary images b ~ Bernoulli(x) is at most −H of this distribution, for every p.

    Args:
        model: The model; its likelihood decides what grey pixels mean.
        x: Images (B, C, H, W) in [0, 1].

    Returns:
        The mean over the images; None if the model has no Bernoulli likelihood or the images are binary.
    """
    if not isinstance(model, Autoencoder) or not model.likelihood.binary or not ((x > 0) & (x < 1)).any():
        return None
    grey = x.double()
    return (torch.xlogy(grey, grey) + torch.xlogy(1 - grey, 1 - grey)).flatten(1).sum(1).mean().item()


def notes(model: Model, x: Tensor, log_jacobian: float = 0.0) -> list[str]:
    """Write a note for every property of the model's nats that a reader could misunderstand.

    Args:
        model: The evaluated model.
        x: The images of the evaluation, (B, C, H, W).
        log_jacobian: What log p(x) in the original units of the pixels is above log p of standardised ones, in nats.
    """
    sentences = []
    highest = ceiling(model, x)
    if highest is not None:
        sentences.append(
            "The pixels are grey and the likelihood is a Bernoulli: the nats are means over binary images drawn with "
            f"these probabilities, not log densities of the grey images, and cannot exceed {highest:.2f}. Estimates of "
            "log p(x) are lower bounds of the mean log p of the drawn images."
        )
    if isinstance(model, Generative) and model.bounds != NO_LABELS:
        sentences.append(
            f"The model knows the labels: its bound and estimates are for {model.bounds} and cannot be compared with "
            f"those for {NO_LABELS}."
        )
    if log_jacobian:
        sentences.append(
            "The pixels are standardised: bounds and estimates of log p(x) are for the original units, "
            f"{log_jacobian:+.2f} nats from those of the standardised pixels. Squared errors are of the latter."
        )
    return sentences
