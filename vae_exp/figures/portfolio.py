"""Chooses and draws the figures of a model."""

from collections.abc import Iterator, Sequence

import torch
from matplotlib.figure import Figure

from vae_exp.architecture import Autoencoder, Generative, Model
from vae_exp.dataset.batches import Batch
from vae_exp.figures.images import analogies, filters, reconstructions, samples, short
from vae_exp.figures.latent import gaussian_grid, latent_scatter, linear_grid, manifold, quantile_grid

Drawn = tuple[str, Figure]


@torch.no_grad()
def portfolio(
    model: Model, batch: Batch, title: str, manifold_side: int = 20, class_names: Sequence[str] = ()
) -> Iterator[Drawn]:
    """Draw every figure that applies to the model; yield each with its name.

    Args:
        model: The model, in evaluation mode.
        batch: Test images and labels. The first ones are reconstructed, and all of them are encoded.
        title: The name of the model, for the titles of the figures.
        manifold_side: Images per side of a manifold; half as many for each class of a conditional model.
        class_names: The names of the classes, in the order of the labels. Without them, the labels are shown.
    """
    x, y = batch
    known = [short(name) for name in class_names]
    names = known or [str(label) for label in range(model.autoencoder.classes)]
    if isinstance(model, Autoencoder):
        yield _reconstructions(model, (x[:20], y[:20]), title)
    if isinstance(model, Generative):
        yield _samples(model, title, names)
        if model.classes:
            yield _analogies(model, (x[:10], y[:10]), title, names)
    else:
        yield "filters", filters(model.autoencoder.filters(), f"first layer · {title}")
    if model.autoencoder.latent_dim == 2:
        codes = model.autoencoder.encode(x, y)
        yield "latent_scatter", latent_scatter(codes, y, f"codes of the test images · {title}", known)
        yield _manifold(model.autoencoder, codes, title, manifold_side, names)


def _reconstructions(model: Autoencoder, batch: Batch, title: str) -> Drawn:
    x, y = batch
    corrupted = model.corrupt(x)
    rows = {"input": x} | ({} if corrupted is x else {"corrupted": corrupted})
    rows["output"] = model.decode(model.encode(corrupted, y), model.fill_labels(corrupted, y)).mean
    return "reconstructions", reconstructions(rows, f"test images and their reconstructions · {title}")


def _samples(model: Generative, title: str, names: Sequence[str]) -> Drawn:
    if not model.classes:
        return "samples", samples(model.sample(100), f"samples from the prior · {title}")
    labels = torch.arange(model.classes).repeat_interleave(10).to(next(model.parameters()).device)
    images = model.sample(len(labels), labels)
    return "samples", samples(images, f"samples from the prior, a row per class · {title}", row_names=names)


def _analogies(model: Generative, batch: Batch, title: str, names: Sequence[str]) -> Drawn:
    x, y = batch
    z = model.encode(x, y)
    labels = torch.arange(model.classes, device=z.device).repeat(len(z))
    images = model.decode(z.repeat_interleave(model.classes, 0), labels).mean.unflatten(0, (len(z), model.classes))
    return "analogies", analogies(x, images, f"test images, and their latents with every label · {title}", names)


def _manifold(model: Autoencoder, codes: torch.Tensor, title: str, side: int, names: Sequence[str]) -> Drawn:
    if model.classes:  # the latents describe only the style; the wide range shows extreme styles too
        side, name = -(-side // 2), "decoder manifold of each class, latents from −5 to 5"
        z = linear_grid(side)
    else:
        name = "decoder manifold"
        z = gaussian_grid(side) if isinstance(model, Generative) else quantile_grid(codes, side)
    flat = z.to(codes).flatten(0, 1)
    panels = {}
    for label in range(model.classes) if model.classes else [-1]:
        images = model.decode(flat, torch.full((len(flat),), label, device=flat.device)).mean
        panels[names[label] if label >= 0 else ""] = images.unflatten(0, (side, side))
    return "manifold", manifold(panels, f"{name} · {title}")
