"""What a code is good for: how well it tells the classes apart, how it answers to changes of the image."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from vae_exp.architecture import AE, Architecture
from vae_exp.network.base import squared_jacobian_norm_by_autograd

COMPARED_AT_ONCE = 100
"""Codes whose distances to all others are in memory at a time."""

SATURATED = 0.05
"""A unit with values in [0, 1] is saturated within this of an end (its slope is below 0.05)."""


def nearest_neighbours_accuracy(
    codes: Tensor, labels: Tensor, of: Tensor, expected: Tensor, k: int = 5, among: bool = False
) -> float:
    """The share of codes that most of their k nearest neighbours have the label of; a tie goes to the smaller label.

    A code that is itself among those to compare with would be its own nearest neighbour: it is left out.

    Args:
        codes: To compare with, (N, D).
        labels: Theirs, (N,).
        of: The codes in question, (M, D).
        expected: Their labels, (M,).
        k: How many neighbours vote.
        among: Whether the codes in question are of the same images as the first ones to compare with, in this order.
    """
    right = 0
    voters = min(k, len(codes) - among)
    for first in range(0, len(of), COMPARED_AT_ONCE):
        some, theirs = (values[first : first + COMPARED_AT_ONCE] for values in (of, expected))
        distances = torch.cdist(some, codes)
        if among:
            distances.diagonal(first).fill_(math.inf)
        nearest = distances.topk(voters, largest=False).indices
        right += int((labels[nearest].mode(1).values == theirs).sum())
    return right / len(of)


def linear_probe_accuracy(
    codes: Tensor, labels: Tensor, of: Tensor, expected: Tensor, penalty: float = 1e-4, iterations: int = 200
) -> float:
    """The share of codes that a multinomial logistic regression on the others gives the right label.

    Args:
        codes: To fit to, (N, D); they are standardised.
        labels: Theirs, (N,).
        of: The codes in question, (M, D).
        expected: Their labels, (M,).
        penalty: Of the squared weights, per code.
        iterations: Of L-BFGS, at most.
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


def jacobian_norm(model: Architecture, x: Tensor, y: Tensor | None = None) -> float:
    """The mean over the images of ‖∂encode(x)/∂x‖_F: how the code answers to changes of the image.

    Args:
        model: In evaluation mode.
        x: Images (B, C, H, W).
        y: Labels (B,).
    """
    if isinstance(model, AE):  # in closed form where there is one
        squares = model.encoder.squared_jacobian_norm(x, x.new_zeros(len(x), 0))
    else:
        squares = squared_jacobian_norm_by_autograd(lambda images: model.encode(images, y), x)
    return squares.sqrt().mean().item()


def saturated(codes: Tensor) -> float | None:
    """The share of the units (N, D) that are within 0.05 of 0 or 1; None where codes are not confined to [0, 1]."""
    if codes.min() < 0 or codes.max() > 1:
        return None
    return ((codes < SATURATED) | (codes > 1 - SATURATED)).double().mean().item()
