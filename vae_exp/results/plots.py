"""The pictures of a run, drawn when they are asked for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vae_exp.architecture import Model
from vae_exp.dataset import Dataset
from vae_exp.dataset.standardisation import Standardisation
from vae_exp.errors import ConfigError
from vae_exp.figures.curves import Line, Panel, bound_curves
from vae_exp.figures.figure import Figure
from vae_exp.figures.images import short
from vae_exp.figures.latent import latent_scatter, principal_components
from vae_exp.figures.portfolio import drawings
from vae_exp.results.jobs import read_job
from vae_exp.results.metrics import SPLITS, measure
from vae_exp.results.run_directory import RunDirectory
from vae_exp.results.tables import METRIC_LABELS

SEED = 0
"""The seed of what is drawn, such as samples from the prior."""


@dataclass(frozen=True)
class Plots:
    """The pictures of a run, as figures of Matplotlib.

    Args:
        path: The run directory.
        metrics: `results.json`.
        rows: `metrics.csv`.
        model: The trained model.
        standardisation: How the pixels were standardised; None if they were not.
        data: Loads the dataset.
    """

    path: Path
    metrics: Mapping[str, Any]
    rows: list[dict[str, float]]
    model: Model
    standardisation: Standardisation | None
    data: Callable[[], Dataset]

    def curves(self) -> Figure:
        """Draw the metric that ranks the model against the samples, on every split; the paper's curve is dashed.

        Raises:
            ConfigError: Nothing was evaluated.
        """
        if not self.rows:
            raise ConfigError(f"run={self.path}: was never evaluated, so there is no curve")
        job = read_job(self.path)
        lines = []
        for split in SPLITS:
            name, sign = measure(self.rows[-1], split)
            if name in self.rows[-1]:
                points = [(row["samples"], sign * row[name], 0.0) for row in self.rows if name in row]
                lines.append(Line("", split, points, job.published(split)))
        label = METRIC_LABELS[job.judged_by("test")]
        panel = Panel(self.model.autoencoder.latent_dim, lines)
        return bound_curves([panel], RunDirectory(self.path).name, ylabel=f"{label} (nats per image)")

    def samples(self) -> Figure:
        """Draw images that are decoded from the prior.

        Raises:
            ConfigError: The model has no prior.
        """
        return self._drawn("samples", "has no prior to sample from")

    def reconstructions(self) -> Figure:
        """Draw test images and their reconstructions.

        Raises:
            ConfigError: The model does not reconstruct images.
        """
        return self._drawn("reconstructions", "does not reconstruct images")

    def manifold(self, side: int = 20) -> Figure:
        """Draw the images that are decoded from a grid of latents, `side` of them in each direction.

        Raises:
            ConfigError: The model does not have two latents, or its images are rows of a table.
        """
        latents = self.model.autoencoder.latent_dim
        needed = "" if latents == 2 else f" it needs two latents (architecture.latent_dim=2), and there are {latents}"
        return self._drawn("manifold", f"has no manifold of images:{needed}".removesuffix(":"), side)

    def scatter(self, images: int = 5000) -> Figure:
        """Draw the codes of test images, coloured by label. More than two latents are projected on two components.

        Args:
            images: How many test images are encoded, the first ones.

        Raises:
            ConfigError: The model has one latent.
        """
        model = self.model.autoencoder
        if model.latent_dim < 2:
            raise ConfigError(
                f"run={self.path}: has one latent: a scatter needs two or more (architecture.latent_dim=2)"
            )
        x, y = self._batch(images)
        with torch.no_grad(), torch.random.fork_rng([]):
            torch.manual_seed(SEED)
            codes = model.encode(x, y)
        names = [short(name) for name in self.data().info.class_names]
        title = f"codes of the test images · {RunDirectory(self.path).name}"
        if model.latent_dim == 2:
            return latent_scatter(codes, y, title, names)
        axis_names = ("first principal component", "second principal component")
        return latent_scatter(principal_components(codes), y, title, names, axis_names)

    def _drawn(self, name: str, otherwise: str, side: int = 20) -> Figure:
        title = f"{RunDirectory(self.path).name}, $N_z$ = {self.model.autoencoder.latent_dim}"
        names = self.data().info.class_names
        with torch.no_grad(), torch.random.fork_rng([]):
            torch.manual_seed(SEED)
            figures = drawings(self.model, self._batch(500), title, side, self.standardisation, names)
            if name not in figures:
                raise ConfigError(f"run={self.path}: this {type(self.model).__name__} {otherwise}")
            return figures[name]()

    def _batch(self, images: int) -> Any:
        return next(iter(self.data().evaluation_batches("test", images)))
