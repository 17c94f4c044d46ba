"""Chooses and draws the figures of a model."""

from collections.abc import Callable, Iterator, Sequence

import torch
from matplotlib.figure import Figure

from vae_exp.architecture import Autoencoder, Generative, Model
from vae_exp.dataset.batches import Batch
from vae_exp.dataset.standardisation import Standardisation
from vae_exp.figures.images import analogies, brightness, filters, reconstructions, samples, short
from vae_exp.figures.latent import gaussian_grid, latent_scatter, linear_grid, manifold, quantile_grid
from vae_exp.figures.rows import is_row, strips

Drawn = tuple[str, Figure]
Brightness = Callable[[torch.Tensor], torch.Tensor]


@torch.no_grad()
def portfolio(
    model: Model,
    batch: Batch,
    title: str,
    manifold_side: int = 20,
    standardisation: Standardisation | None = None,
    class_names: Sequence[str] = (),
) -> Iterator[Drawn]:
    """Draw every figure that applies to the model; yield each with its name.

    Args:
        model: The model, in evaluation mode.
        batch: Test images and labels. The first ones are reconstructed, and all of them are encoded.
        title: The name of the model, for the titles of the figures.
        manifold_side: Images per side of a manifold; half as many for each class of a conditional model.
        standardisation: How the pixels were standardised; images are drawn in their original units.
        class_names: The names of the classes, in the order of the labels. Without them, the labels are shown.
    """
    x, y = batch
    known = [short(name) for name in class_names]
    names = known or [str(label) for label in range(model.autoencoder.classes)]
    bright = _bright(x, standardisation)
    rows = is_row(x.shape[1:])
    yield from _rows(model, batch, title) if rows else _images(model, batch, bright, title, names)
    if model.autoencoder.latent_dim == 2:
        codes = model.autoencoder.encode(x, y)
        yield "latent_scatter", latent_scatter(codes, y, f"codes of the test images · {title}", known)
        if not rows:
            yield _manifold(model.autoencoder, codes, bright, title, manifold_side, names)


def _bright(x: torch.Tensor, standardisation: Standardisation | None) -> Brightness:
    """Return the map of the model's pixels to brightness."""
    if standardisation is None:
        return brightness(x)
    of_original = brightness(standardisation.invert(x))
    return lambda images: of_original(standardisation.invert(images))


def _images(model: Model, batch: Batch, bright: Brightness, title: str, names: Sequence[str]) -> Iterator[Drawn]:
    """Draw the figures that show images."""
    x, y = batch
    if isinstance(model, Autoencoder):
        rows = _reconstructed(model, (x[:20], y[:20]))
        drawn = {name: bright(images) for name, images in rows.items()}
        yield "reconstructions", reconstructions(drawn, f"test images and their reconstructions · {title}")
    if isinstance(model, Generative):
        yield _samples(model, bright, title, names)
        if model.classes:
            yield _analogies(model, (x[:10], y[:10]), bright, title, names)
    else:
        yield "filters", filters(model.autoencoder.filters(), f"first layer · {title}")


def _rows(model: Model, batch: Batch, title: str) -> Iterator[Drawn]:
    """Draw the figures that show rows of a table."""
    x, y = batch
    if isinstance(model, Autoencoder):
        rows = _reconstructed(model, (x[:40], y[:40]))
        yield "reconstructions", strips(rows, x, f"test rows and their reconstructions · {title}")
    if isinstance(model, Generative):
        labels = (torch.arange(40, device=x.device) * model.classes // 40) if model.classes else None
        rows = {"test rows": x[:40], "samples": model.sample(40, labels)}
        yield "samples", strips(rows, x, f"samples from the prior · {title}")


def _reconstructed(model: Autoencoder, batch: Batch) -> dict[str, torch.Tensor]:
    """Return the images, the corrupted images if there are any, and the reconstructions, by name."""
    x, y = batch
    corrupted = model.corrupt(x)
    rows = {"input": x} | ({} if corrupted is x else {"corrupted": corrupted})
    rows["output"] = model.decode(model.encode(corrupted, y), model.fill_labels(corrupted, y)).mean
    return rows


def _samples(model: Generative, bright: Brightness, title: str, names: Sequence[str]) -> Drawn:
    if not model.classes:
        return "samples", samples(bright(model.sample(100)), f"samples from the prior · {title}")
    labels = torch.arange(model.classes).repeat_interleave(10).to(next(model.parameters()).device)
    images = bright(model.sample(len(labels), labels))
    return "samples", samples(images, f"samples from the prior, a row per class · {title}", row_names=names)


def _analogies(model: Generative, batch: Batch, bright: Brightness, title: str, names: Sequence[str]) -> Drawn:
    x, y = batch
    z = model.encode(x, y)
    labels = torch.arange(model.classes, device=z.device).repeat(len(z))
    images = model.decode(z.repeat_interleave(model.classes, 0), labels).mean.unflatten(0, (len(z), model.classes))
    shown = f"test images, and their latents with every label · {title}"
    return "analogies", analogies(bright(x), bright(images), shown, names)


def _manifold(
    model: Autoencoder, codes: torch.Tensor, bright: Brightness, title: str, side: int, names: Sequence[str]
) -> Drawn:
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
        panels[names[label] if label >= 0 else ""] = bright(images).unflatten(0, (side, side))
    return "manifold", manifold(panels, f"{name} · {title}")
