"""Measures of a code's quality: how well it separates the classes and how it responds to changes of the image."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from vae_exp.architecture import Autoencoder, HasJacobian
from vae_exp.network.base import squared_jacobian_norm_by_autograd

COMPARED_AT_ONCE = 100
"""Number of codes that are compared with all others at a time, to limit memory."""

SATURATED = 0.05
"""A unit in [0, 1] is saturated if it is within this distance of 0 or 1 (its slope is then below 0.05)."""


def nearest_neighbours_accuracy(
    codes: Tensor, labels: Tensor, of: Tensor, expected: Tensor, k: int = 5, among: bool = False
) -> float:
    """Compute the accuracy of classifying codes by the majority label of their k nearest neighbours.

    A tie goes to the smaller label. If `among`, a code is not its own neighbour.

    Args:
        codes: The reference codes, (N, D).
        labels: The labels of the reference codes, (N,).
        of: The codes to classify, (M, D).
        expected: The labels of the codes to classify, (M,).
        k: Number of neighbours that vote.
        among: Whether the codes to classify belong to the images of the first M reference codes, in the same order.
    """
    correct = 0
    voters = min(k, len(codes) - among)
    for first in range(0, len(of), COMPARED_AT_ONCE):
        queries, targets = (values[first : first + COMPARED_AT_ONCE] for values in (of, expected))
        distances = torch.cdist(queries, codes)
        if among:
            distances.diagonal(first).fill_(math.inf)
        nearest = distances.topk(voters, largest=False).indices
        correct += int((labels[nearest].mode(1).values == targets).sum())
    return correct / len(of)


def linear_probe_accuracy(
    codes: Tensor, labels: Tensor, of: Tensor, expected: Tensor, penalty: float = 1e-4, iterations: int = 200
) -> float:
    """Compute the accuracy of classifying codes by a multinomial logistic regression.

    Args:
        codes: The codes to fit to, (N, D); they are standardised.
        labels: The labels of the codes to fit to, (N,).
        of: The codes to classify, (M, D).
        expected: The labels of the codes to classify, (M,).
        penalty: The coefficient of the squared weights, which is added to the mean cross-entropy.
        iterations: The largest number of L-BFGS iterations.
    """
    mean, std = codes.mean(0), codes.std(0).clamp(min=1e-6)
    x = (codes - mean) / std
    weight = x.new_zeros(int(labels.max()) + 1, x.shape[1], requires_grad=True)
    bias = x.new_zeros(len(weight), requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=iterations, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = F.cross_entropy(F.linear(x, weight, bias), labels) + penalty * weight.square().sum()
        value.backward()
        return value

    with torch.enable_grad():
        optimizer.step(loss)
    scores = F.linear((of - mean) / std, weight, bias)
    return (scores.argmax(1) == expected).double().mean().item()


def jacobian_norm(model: Autoencoder, x: Tensor, y: Tensor | None = None) -> float:
    """Compute the mean over the images of ‖∂encode(x)/∂x‖_F: how strongly the code responds to changes of the image.

    Args:
        model: The model, in evaluation mode.
        x: Images (B, C, H, W).
        y: Labels (B,).
    """
    if isinstance(model, HasJacobian):
        squares = model.squared_jacobian_norm(x)
    else:
        squares = squared_jacobian_norm_by_autograd(lambda images: model.encode(images, y), x)
    return squares.sqrt().mean().item()


def share_of_saturated_units(codes: Tensor) -> float | None:
    """Compute the share of units (N, D) within 0.05 of 0 or 1; None if the codes are not confined to [0, 1]."""
    if codes.min() < 0 or codes.max() > 1:
        return None
    return ((codes < SATURATED) | (codes > 1 - SATURATED)).double().mean().item()
