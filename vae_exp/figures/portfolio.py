"""Chooses and draws the figures of a model."""

from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial

import torch

from vae_exp.architecture import Autoencoder, HasPrior, Model
from vae_exp.dataset.batches import Batch
from vae_exp.dataset.standardisation import Standardisation
from vae_exp.figures.figure import Figure
from vae_exp.figures.images import analogies, brightness, filters, reconstructions, samples, short
from vae_exp.figures.latent import gaussian_grid, latent_scatter, linear_grid, manifold, quantile_grid
from vae_exp.figures.rows import is_row, strips
from vae_exp.prior.normal import is_normal

Drawn = tuple[str, Figure]
Drawings = dict[str, Callable[[], Figure]]
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
    """Draw every figure that applies to the model; yield each with its name. The arguments are those of `drawings`."""
    for name, draw in drawings(model, batch, title, manifold_side, standardisation, class_names).items():
        yield name, draw()


def drawings(
    model: Model,
    batch: Batch,
    title: str,
    manifold_side: int = 20,
    standardisation: Standardisation | None = None,
    class_names: Sequence[str] = (),
) -> Drawings:
    """Return a function for every figure that applies to the model, by name. Each draws its figure when it is called.

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
    drawn = _rows(model, batch, title) if rows else _images(model, batch, bright, title, names)
    if model.autoencoder.latent_dim == 2:
        codes = cache(partial(model.autoencoder.encode, x, y))
        drawn["latent_scatter"] = lambda: latent_scatter(codes(), y, f"codes of the test images · {title}", known)
        if not rows:
            drawn["manifold"] = lambda: _manifold(model.autoencoder, codes(), bright, title, manifold_side, names)
    return drawn


DRAWS_OF_PRIOR = 10_000
"""Number of draws from a prior whose quantiles are not known."""


def _bright(x: torch.Tensor, standardisation: Standardisation | None) -> Brightness:
    """Return the map of the model's pixels to brightness."""
    if standardisation is None:
        return brightness(x)
    of_original = brightness(standardisation.invert(x))
    return lambda images: of_original(standardisation.invert(images))


def _images(model: Model, batch: Batch, bright: Brightness, title: str, names: Sequence[str]) -> Drawings:
    """Return the figures that show images."""
    x, y = batch
    drawn: Drawings = {}
    if isinstance(model, Autoencoder):
        drawn["reconstructions"] = partial(_reconstructions, model, (x[:20], y[:20]), bright, title)
    if isinstance(model, HasPrior):
        drawn["samples"] = partial(_samples, model, bright, title, names)
        if model.classes:
            drawn["analogies"] = partial(_analogies, model, (x[:10], y[:10]), bright, title, names)
    else:
        drawn["filters"] = lambda: filters(model.autoencoder.filters(), f"first layer · {title}")
    return drawn


def _rows(model: Model, batch: Batch, title: str) -> Drawings:
    """Return the figures that show rows of a table."""
    x, y = batch
    drawn: Drawings = {}
    if isinstance(model, Autoencoder):
        shown = f"test rows and their reconstructions · {title}"
        drawn["reconstructions"] = lambda: strips(_reconstructed(model, (x[:40], y[:40])), x, shown)
    if isinstance(model, HasPrior):
        drawn["samples"] = partial(_sampled_rows, model, x, title)
    return drawn


def _sampled_rows(model: HasPrior, x: torch.Tensor, title: str) -> Figure:
    labels = (torch.arange(40, device=x.device) * model.classes // 40) if model.classes else None
    return strips({"test rows": x[:40], "samples": model.sample(40, labels)}, x, f"samples from the prior · {title}")


def _reconstructions(model: Autoencoder, batch: Batch, bright: Brightness, title: str) -> Figure:
    drawn = {name: bright(images) for name, images in _reconstructed(model, batch).items()}
    return reconstructions(drawn, f"test images and their reconstructions · {title}")


def _reconstructed(model: Autoencoder, batch: Batch) -> dict[str, torch.Tensor]:
    """Return the images, the corrupted images if there are any, and the reconstructions, by name."""
    x, y = batch
    corrupted = model.corrupt(x)
    rows = {"input": x} | ({} if corrupted is x else {"corrupted": corrupted})
    rows["output"] = model.decode(model.encode(corrupted, y), model.fill_labels(corrupted, y)).mean
    return rows


def _samples(model: HasPrior, bright: Brightness, title: str, names: Sequence[str]) -> Figure:
    if not model.classes:
        return samples(bright(model.sample(100)), f"samples from the prior · {title}")
    labels = torch.arange(model.classes).repeat_interleave(10).to(next(model.parameters()).device)
    images = bright(model.sample(len(labels), labels))
    return samples(images, f"samples from the prior, a row per class · {title}", row_names=names)


def _analogies(model: HasPrior, batch: Batch, bright: Brightness, title: str, names: Sequence[str]) -> Figure:
    x, y = batch
    z = model.encode(x, y)
    labels = torch.arange(model.classes, device=z.device).repeat(len(z))
    images = model.decode(z.repeat_interleave(model.classes, 0), labels).mean.unflatten(0, (len(z), model.classes))
    shown = f"test images, and their latents with every label · {title}"
    return analogies(bright(x), bright(images), shown, names)


def _grid_of_prior(model: HasPrior, side: int) -> torch.Tensor:
    """Return latents (side, side, 2) with equal steps of prior probability along each axis."""
    if is_normal(model.prior):
        return gaussian_grid(side)
    return quantile_grid(model.prior.sample((DRAWS_OF_PRIOR,)), side)


def _manifold(
    model: Autoencoder, codes: torch.Tensor, bright: Brightness, title: str, side: int, names: Sequence[str]
) -> Figure:
    if model.classes:  # the latents describe only the style; the wide range shows extreme styles too
        side, name = -(-side // 2), "decoder manifold of each class, latents from −5 to 5"
        z = linear_grid(side)
    else:
        name = "decoder manifold"
        z = _grid_of_prior(model, side) if isinstance(model, HasPrior) else quantile_grid(codes, side)
    flat = z.to(codes).flatten(0, 1)
    panels = {}
    for label in range(model.classes) if model.classes else [-1]:
        images = model.decode(flat, torch.full((len(flat),), label, device=flat.device)).mean
        panels[names[label] if label >= 0 else ""] = bright(images).unflatten(0, (side, side))
    return manifold(panels, f"{name} · {title}")
