"""A run as an object: its numbers, its model, what the model makes of images, and pictures."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig
from torch import Tensor

from vae_exp.architecture import Autoencoder, HasPrior, Model
from vae_exp.architecture.inputs import floats, integers
from vae_exp.config.assembly import build_data
from vae_exp.config.objects import NO_OBJECTS, Objects
from vae_exp.dataset import Dataset, Images
from vae_exp.dataset.batches import Batch, EvaluationBatches
from vae_exp.dataset.standardisation import Standardisation
from vae_exp.errors import ConfigError, InputError, RunError, nearest_first
from vae_exp.evaluation.codes import visible_labels
from vae_exp.results.metrics import format_headline, measure
from vae_exp.results.notebook import run_as_html
from vae_exp.results.plots import Plots

Array = NDArray[Any]

BATCH = 1000
"""Images that the model sees at a time."""


class Codes(NamedTuple):
    """Codes of images, and their labels.

    Attributes:
        z: The codes (N, latent_dim), float32. If the code is random, its mean.
        labels: The labels (N,), int64, −1 where unknown.
    """

    z: Array
    labels: Array


@dataclass(frozen=True, repr=False)
class Run:
    """A run that has ended.

    Images are given and returned in the units of the dataset: floats (N, C, H, W), in [0, 1] unless the values are
    real. Nothing here changes the caller's random generators: what is drawn depends on `seed` alone.

    Attributes:
        path: The run directory.
        config: The resolved config.
        metrics: `results.json`: identity, final metrics (nats per image), `status`.
        rows: `metrics.csv`: one dict per evaluation.
        model: The architecture with its trained weights, in evaluation mode: `encode(x)`, `decode(z)`,
            `sample(n)`, `bound(x)`. It takes and gives standardised pixels if the dataset is standardised.
        standardisation: How the pixels that the model takes and gives were standardised; None if they were not.
            `standardisation.apply` and `.invert` convert pixels, and `.log_jacobian` converts log densities.
        objects: The objects that the run was made of, by place.
        loaded: The dataset of the run if it is loaded already.
        continued_by: Trains the run further with more overrides; None if only the command can do that.
    """

    path: Path
    config: DictConfig
    metrics: dict[str, Any]
    rows: list[dict[str, float]]
    model: Model
    standardisation: Standardisation | None = None
    objects: Objects = field(default_factory=lambda: NO_OBJECTS)
    loaded: Dataset | None = field(default=None, compare=False)
    continued_by: "Callable[..., Run] | None" = field(default=None, compare=False)

    @property
    def history(self) -> Any:
        """`metrics.csv`, one row per evaluation: a pandas DataFrame if pandas is installed, else `rows`."""
        if find_spec("pandas") is None:
            return self.rows
        import pandas as pd

        return pd.DataFrame(self.rows)

    @cached_property
    def data(self) -> Dataset:
        """The dataset of the run, loaded.

        Raises:
            RunError: The run was trained on an object that is not given.
        """
        if self.loaded is not None:
            return self.loaded
        if self.metrics.get("dataset") == "object" and "dataset.source" not in self.objects:
            raise RunError(
                f'run={self.path}: its images are an object. Pass it: vae_exp.load_run("{self.path}", data=…)'
            )
        data = build_data(self.config, objects=self.objects)
        with _own_random(0):
            data.load(next(self.model.parameters()).device)
        return data

    @property
    def plot(self) -> Plots:
        """The pictures of the run: `plot.curves()`, `.samples()`, `.reconstructions()`, `.scatter()`, `.manifold()`."""
        return Plots(self.path, self.metrics, self.rows, self.model, self.standardisation, lambda: self.data)

    def encode(self, x: Any = "test", labels: Any = None, seed: int = 0) -> Codes:
        """Compute the code of each image.

        Args:
            x: Images (N, C, H, W), or the name of a split. A classifier, such as M2, does not see the labels of a
                split: it encodes with the classes that it predicts, as `vae_exp encode` does.
            labels: The labels (N,) of these images, for a model that takes them.
            seed: The seed of what is random, such as dynamically binarized pixels of a split.

        Raises:
            ConfigError: There is no such split.
            InputError: The images or labels have another shape or type.
        """
        model = self.model.autoencoder
        with _own_random(seed):
            # a classifier must not see the labels of a split, which it has to predict
            seen = visible_labels if isinstance(x, str) else _as_they_are
            codes = [(model.encode(images, seen(self.model, y)), y) for images, y in self._batches(x, labels)]
        z, y = (torch.cat(parts).numpy(force=True) for parts in zip(*codes, strict=True))
        return Codes(z, y)

    def reconstruct(self, x: Any = "test", labels: Any = None, seed: int = 0) -> Array:
        """Compute the mean of p(x|z) at the code of each image, (N, C, H, W).

        Args:
            x: Images (N, C, H, W), or the name of a split.
            labels: The labels (N,) of these images, for a model that takes them.
            seed: The seed of what is random.

        Raises:
            ConfigError: There is no such split, or the model does not reconstruct images.
            InputError: The images or labels have another shape or type.
        """
        model = self._autoencoder()
        with _own_random(seed):
            means = [
                model.decode(model.encode(x, y), model.fill_labels(x, y)).mean for x, y in self._batches(x, labels)
            ]
        return self._original(torch.cat(means))

    def sample(self, n: int = 64, labels: Any = None, seed: int = 0) -> Array:
        """Draw images (n, C, H, W) from the prior: the means of p(x|z).

        Args:
            n: The number of images.
            labels: Their labels (n,), for a model that is conditioned on them. By default they are drawn.
            seed: The seed.

        Raises:
            ConfigError: The model has no prior.
            InputError: n or the labels are not allowed.
        """
        model = self.model
        if not isinstance(model, HasPrior):
            raise ConfigError(f"run={self.path}: {type(model).__name__} has no prior: there is nothing to sample from")
        with _own_random(seed):
            return self._original(model.sample(n, labels))

    def interpolate(self, a: Any, b: Any, steps: int = 10, labels: Any = None) -> Array:
        """Decode equally spaced points on the line between the codes of two images, (steps, C, H, W).

        If the decoder takes labels, the first half of the images has the label of `a`, the other half that of `b`.

        Args:
            a: The first image (C, H, W), or its position in the test split.
            b: The last one.
            steps: The number of images, 2 or more.
            labels: The labels of both images, for a model that takes them. Images of the test split have their own.

        Raises:
            ConfigError: The model does not decode images.
            InputError: An image has another shape, or there is no such position.
        """
        model = self._autoencoder()
        if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < 2:
            raise InputError(f"steps={steps}: a whole number is needed, 2 or more")
        pair = [None, None] if labels is None else list(labels)
        if len(pair) != 2:
            raise InputError(f"labels: one for each of the two images is needed, not {len(pair)}")
        with _own_random(0):
            ends = [self._one(*end) for end in zip((a, b), pair, strict=True)]
            first, last = (model.encode(x, y) for x, y in ends)
            weight = torch.linspace(0, 1, int(steps)).to(first)[:, None]
            y = torch.cat([model.fill_labels(x, y) for x, y in ends])
            return self._original(model.decode(torch.lerp(first, last, weight), y[(weight[:, 0] >= 0.5).long()]).mean)

    def resume(self, *overrides: str) -> "Run":
        """Continue the run in its directory, as the command does with `resume=`, and return it.

        The numbers are those of a run that never stopped. The objects that the run was made of are used again. For a
        run in stages the whole run continues.

        Args:
            overrides: The words of the command that change, such as `"samples=100000"`. Without them a run that is
                completed stays as it is.

        Returns:
            The run with its newest weights. This object stays as it was.

        Raises:
            UserError: As `vae_exp.train`.
            KeyboardInterrupt: As `vae_exp.train`.
        """
        if self.continued_by is None:
            raise RunError(f'run={self.path}: was not loaded by vae_exp.load_run: vae_exp.train("resume={self.path}")')
        return self.continued_by(*overrides)

    def __repr__(self) -> str:
        known = self.metrics.get(measure(self.metrics, "test")[0]) is not None
        headline = f", {' '.join(format_headline(self.metrics, 'test').split())}" if known else ""
        return f"Run({str(self.path)!r}, {self.metrics['status']}{headline})"

    def _repr_html_(self) -> str:
        return run_as_html(self.path, self.metrics)

    def _autoencoder(self) -> Autoencoder:
        """Return the model if it decodes images.

        Raises:
            ConfigError: It does not.
        """
        if not isinstance(self.model, Autoencoder):
            raise ConfigError(f"run={self.path}: {type(self.model).__name__} has no decoder that is trained")
        return self.model

    def _one(self, image: Any, label: Any) -> Batch:
        """Return one image (1, C, H, W) and its label (1,)."""
        if isinstance(image, int | np.integer) and not isinstance(image, bool):
            split = self.data.splits["test"]
            if not 0 <= image < len(split):
                raise InputError(f"{image}: the test split has the positions 0 to {len(split) - 1}")
            chosen = split.select(slice(int(image), int(image) + 1))
            x, y = next(iter(EvaluationBatches(chosen, self.data.binarize, 1)))
            return (x, y) if label is None else (x, torch.full_like(y, int(label)))
        shape = tuple(np.shape(image))
        if shape != tuple(self.model.shape):
            raise InputError(
                f"an image {tuple(self.model.shape)} or a position in the test split is needed, not {shape}"
            )
        return next(self._batches(image[None], None if label is None else [label]))

    def _batches(self, x: Any, labels: Any) -> Iterator[Batch]:
        """Yield images as the model takes them, and their labels (B,), −1 where unknown."""
        if isinstance(x, str):
            if x not in self.data.splits:
                names = nearest_first(x, self.data.splits)
                raise ConfigError(f"{x}: the run has no such split. Allowed: {', '.join(names)}")
            if labels is not None:
                raise InputError(f"labels: the images of {x} have labels of their own. Leave them out")
            yield from self.data.evaluation_batches(x, BATCH)
            return
        shape, like = self.model.shape, next(self.model.parameters())
        images = floats("x", x, shape, f"images (N, {', '.join(map(str, shape))})", like)
        if labels is None and self.model.needs_labels:
            raise InputError(f"labels: this {type(self.model).__name__} needs the label of every image")
        unknown = torch.full((len(images),), -1, device=images.device)
        known = range(-1, self.model.classes)
        y = unknown if labels is None else integers("labels", labels, len(images), known, like)
        if self.standardisation is not None:
            images = self.standardisation.apply(Images(images, y)).pixels
        yield from zip(images.split(BATCH), y.split(BATCH), strict=True)

    def _original(self, x: Tensor) -> Array:
        """Return images in the units of the dataset."""
        pixels = x if self.standardisation is None else self.standardisation.invert(x)
        array: Array = pixels.float().numpy(force=True)
        return array


def _as_they_are(model: Model, y: Tensor) -> Tensor:
    return y


@contextmanager
def _own_random(seed: int) -> Iterator[None]:
    """Seed PyTorch's generators in this context, without gradients, and restore them afterwards."""
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []
    with torch.no_grad(), torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        yield
