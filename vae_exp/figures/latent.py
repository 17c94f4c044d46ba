"""Figures of a two-dimensional latent space."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from vae_exp.figures.figure import Figure
from vae_exp.figures.images import image_grid


def latent_scatter(
    codes: Tensor,
    labels: Tensor,
    title: str,
    names: Sequence[str] = (),
    axis_names: tuple[str, str] = ("$z_1$", "$z_2$"),
) -> Figure:
    """Draw codes (N, 2) as points, coloured by label (N,) if all labels are known (≥ 0).

    Args:
        codes: The codes.
        labels: Their labels.
        title: The title of the figure.
        names: The names of the labels. Without them, their numbers are shown.
        axis_names: The names of the axes.
    """
    z, y = codes.detach().cpu().numpy(), labels.cpu().numpy()
    figure = Figure(figsize=(7.5, 6.5), layout="constrained")
    axes = figure.subplots()
    known = bool((y >= 0).all())
    points = axes.scatter(z[:, 0], z[:, 1], s=3, c=y if known else None, cmap="tab10" if known else None, linewidths=0)
    if known:
        shown = np.unique(y).tolist()
        handles, numbers = points.legend_elements(num=shown)
        shown_names = [names[label] for label in shown] if names else numbers
        axes.legend(handles, shown_names, title="label", loc="center left", bbox_to_anchor=(1, 0.5))
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xlabel(axis_names[0])
    axes.set_ylabel(axis_names[1])
    axes.set_title(title, fontsize="medium")
    return figure


def principal_components(codes: Tensor) -> Tensor:
    """Project codes (N, D) on the two directions in which they vary most, (N, 2)."""
    centred = codes - codes.mean(0)
    directions = torch.linalg.eigh(centred.T @ centred).eigenvectors[:, -2:].flip(1)
    # the sign of a direction is arbitrary: its largest component is positive here
    largest = directions.gather(0, directions.abs().argmax(0, keepdim=True))
    projected: Tensor = centred @ (directions * largest.sign())
    return projected


def gaussian_grid(side: int) -> Tensor:
    """Compute latents (side, side, 2) at Φ⁻¹ of a linear grid on the unit square, z₁ to the right, z₂ upwards.

    They have equal steps of prior probability (arXiv 1312.6114, figure 4).
    """
    u = (torch.arange(side) + 0.5) / side
    return _grid(torch.special.ndtri(u), torch.special.ndtri(u))


def linear_grid(side: int, most: float = 5.0) -> Tensor:
    """Compute latents (side, side, 2) with equal steps from −most to most (arXiv 1406.5298, figure 1a)."""
    z = torch.linspace(-most, most, side)
    return _grid(z, z)


def quantile_grid(codes: Tensor, side: int) -> Tensor:
    """Compute latents (side, side, 2) at quantiles of codes (N, 2), for a model without a prior.

    Along each axis they have equal steps of the codes' frequency.
    """
    u = ((torch.arange(side) + 0.5) / side).to(codes)
    return _grid(*codes.quantile(u, dim=0).T)


def manifold(panels: dict[str, Tensor], title: str) -> Figure:
    """Draw decoded images (side, side, C, H, W) at the places of their latents, with one panel per condition."""
    columns = min(5, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(7.5, 7.5 * rows / columns * (1 if len(panels) == 1 else 1.15) + 0.4), layout="constrained")
    figure.suptitle(title, fontsize="medium")
    all_axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in all_axes:
        axes.axis("off")
    for axes, (name, images) in zip(all_axes, panels.items(), strict=False):
        axes.imshow(image_grid(images.flatten(0, 1), images.shape[1], gap=0), cmap="gray", vmin=0, vmax=1)
        axes.set_title(name, fontsize="small")
    return figure


def _grid(z1: Tensor, z2: Tensor) -> Tensor:
    # the first row is the top of the picture, and z₂ is largest there
    rows, columns = torch.meshgrid(z2.flip(0), z1, indexing="ij")
    return torch.stack([columns, rows], -1)
