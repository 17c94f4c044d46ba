"""What has to be said beside a model's nats, so that they are read as what they are."""

import torch
from torch import Tensor

from vae_exp.architecture import Architecture

NO_LABELS = "log p(x)"


def ceiling(model: Architecture, x: Tensor) -> float | None:
    """The largest value that the bound and log p(x) can have on grey images under a Bernoulli: −Σ H(x), in nats.

    E_b[log p(b)] over binary images b ~ Bernoulli(x) is at most −H of that distribution, whatever p is.

    Args:
        model: Its likelihood decides what grey pixels mean.
        x: Images (B, C, H, W) in [0, 1].

    Returns:
        The mean over the images; None where the likelihood is another one, or the images are binary.
    """
    if not model.likelihood.binary or not ((x > 0) & (x < 1)).any():
        return None
    grey = x.double()
    return (torch.xlogy(grey, grey) + torch.xlogy(1 - grey, 1 - grey)).flatten(1).sum(1).mean().item()


def notes(model: Architecture, x: Tensor) -> list[str]:
    """A sentence for each thing that a reader of the model's nats would take for something else.

    Args:
        model: What was evaluated.
        x: The images that it was evaluated on, (B, C, H, W).
    """
    said = []
    highest = ceiling(model, x)
    if highest is not None:
        said.append(
            "The pixels are grey and the likelihood is a Bernoulli: the nats are means over binary images drawn with "
            f"these probabilities, no log density of the grey ones, and cannot exceed {highest:.2f}. Estimates of "
            "log p(x) are lower bounds of the mean log p of the drawn images."
        )
    if model.bounds != NO_LABELS:
        said.append(
            f"The model is told the labels: bound and estimates are of {model.bounds}, and cannot be compared with "
            f"those of {NO_LABELS}."
        )
    return said
