"""Draw what each prior, posterior, likelihood and objective learns, for the pages of docs/ about them.

    python scripts/parts.py <folder>

The folder holds a finished run of each part, under its name; missing runs are trained, which takes about 25 minutes.
It writes priors.png, posteriors.png, likelihoods.png and objectives.png to docs/images.
"""

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
from matplotlib.axes import Axes
from torch import Tensor

import vae_exp
from vae_exp.architecture import Generative
from vae_exp.figures.figure import Figure
from vae_exp.results.run import Run

IMAGES = Path(__file__).parents[1] / "docs" / "images"

COMMON = ("optimizer=adam", "weight_prior=0", "network.init_std=null", "scheduler=cosine")
PLANE = ("architecture.latent_dim=2", *COMMON)
MNIST = (*PLANE, "samples=300000")
SHORT = (*PLANE, "samples=100000")
FREY_FACE = ("+experiment=frey_face_vae", "samples=100000", *COMMON)

PRIORS = ("standard", "mixture", "vamp", "flow")
POSTERIORS = ("diagonal", "full_covariance", "planar", "sylvester", "iaf", "spline")
LIKELIHOODS = (
    "bernoulli",
    "continuous_bernoulli",
    "gaussian",
    "laplace",
    "student",
    "beta",
    "logistic_mixture",
    "categorical",
)
OBJECTIVES = {
    "sgvb_b": (),
    "sgvb_a": (),
    "stl": (),
    "iwae": ("objective.samples=20",),
    "dreg": ("objective.samples=20",),
    "beta_tc": (),
    "mmd": ("architecture.beta=0",),
}

SIDE = 200
"""Points of a grid of latents, along each axis."""

DIGITS = (4, 11, 33)
"""Test images whose posteriors are shown."""

FRAME, PIXEL = 12, (10, 8)
"""The test image whose reconstruction is shown, and the row and column of a pixel of it."""


def run_of(part: str, folder: Path, words: Sequence[str]) -> Run:
    """Load the run of a part, and train it if it is missing."""
    path = folder / part.replace("=", "_")
    if not (path / "results.json").exists():
        command = [sys.executable, "-m", "vae_exp", part, *words, "logger=none", "callbacks.figures=null"]
        subprocess.run([*command, f"hydra.run.dir={path}"], check=True)
    return vae_exp.load_run(path)


def model_of(run: Run) -> Generative:
    """Return the model of a run, which has a bound."""
    assert isinstance(run.model, Generative)
    return run.model


def test_images(run: Run, n: int) -> tuple[Tensor, Tensor]:
    """Return the first n test images and their labels."""
    x, y = next(iter(run.data.evaluation_batches("test", n)))
    return x, y


def density(log_p: Callable[[Tensor], Tensor], low: Tensor, high: Tensor) -> Tensor:
    """Compute a density on a grid of latents, (SIDE, SIDE), relative to its largest value; the second axis is z₁."""
    first, second = (torch.linspace(float(a), float(b), SIDE) for a, b in zip(low, high, strict=True))
    values = log_p(torch.cartesian_prod(first, second)).unflatten(0, (SIDE, SIDE)).T
    return (values - values.max()).exp()


def show_density(axes: Axes, values: Tensor, low: Tensor, high: Tensor) -> None:
    """Show a density as a grey surface."""
    (left, bottom), (right, top) = low.tolist(), high.tolist()
    axes.imshow(values.numpy(), extent=(left, right, bottom, top), origin="lower", cmap="Greys", aspect="auto")
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
    axes.set_xticks([])
    axes.set_yticks([])


def codes(runs: Mapping[str, Run]) -> Figure:
    """Draw the square root of p(z) of each run, so that low densities are seen, and the codes of 2000 test images."""
    figure = Figure(figsize=(3 * len(runs), 3.2), layout="constrained")
    for axes, (name, run) in zip(figure.subplots(1, len(runs)), runs.items(), strict=True):
        x, y = test_images(run, 2000)
        of_images = model_of(run).encode(x)
        low, high = of_images.min(0).values - 0.5, of_images.max(0).values + 0.5
        show_density(axes, density(model_of(run).prior.log_prob, low, high).sqrt(), low, high)
        axes.scatter(*of_images.T.numpy(), s=2, c=y.numpy(), cmap="tab10", linewidths=0)
        axes.set_title(name, family="monospace", fontsize=10)
    return figure


def priors(folder: Path) -> Figure:
    """Draw p(z) and codes with each prior."""
    return codes({f"prior={name}": run_of(f"prior={name}", folder, MNIST) for name in PRIORS})


def objectives(folder: Path) -> Figure:
    """Draw p(z) and codes with each objective."""
    parts = {f"objective={name}": words for name, words in OBJECTIVES.items()}
    return codes({part: run_of(part, folder, (*SHORT, *words)) for part, words in parts.items()})


def log_joint(model: Generative, image: Tensor, z: Tensor) -> Tensor:
    """Compute log p(x|z) + log p(z) of an image (1, H, W) at latents z (N, 2): log p(z|x) up to a constant."""
    return torch.cat([model.decode(part).log_prob(image) for part in z.split(4000)]) + model.prior.log_prob(z)


def posteriors(folder: Path) -> Figure:
    """Draw the exact p(z|x) of each model for some test images, and 300 draws from q(z|x)."""
    figure = Figure(figsize=(2 * (len(POSTERIORS) + 0.5), 2 * len(DIGITS) + 0.3), layout="constrained")
    grid = figure.subplots(len(DIGITS), 1 + len(POSTERIORS), width_ratios=(1, *[2] * len(POSTERIORS)))
    for column, name in zip(grid.T[1:], POSTERIORS, strict=True):
        run = run_of(f"posterior={name}", folder, MNIST)
        model, x = model_of(run), test_images(run, max(DIGITS) + 1)[0]
        draws = model.posterior(x).sample([300])
        for axes, index in zip(column, DIGITS, strict=True):
            z, image = draws[:, index], x[index]
            centre, reach = z.mean(0), 4.5 * z.std(0)
            low, high = centre - reach, centre + reach
            show_density(axes, density(partial(log_joint, model, image), low, high), low, high)
            axes.scatter(*z.T.numpy(), s=3, c="tab:red", linewidths=0)
        column[0].set_title(f"posterior={name}", family="monospace", fontsize=8)
    for axes, index in zip(grid[:, 0], DIGITS, strict=True):
        axes.imshow(x[index, 0].numpy(), cmap="gray", vmin=0, vmax=1)
        axes.set_axis_off()
    return figure


def likelihoods(folder: Path) -> Figure:
    """Draw p(x|z) at the code of a test image: its mean, a draw, and the probabilities of the levels of one pixel."""
    figure = Figure(figsize=(1.6 * len(LIKELIHOODS), 5.4), layout="constrained")
    grid = figure.subplots(3, len(LIKELIHOODS), height_ratios=(2, 2, 1.2))
    levels = torch.arange(256) / 255
    for column, name in zip(grid.T, LIKELIHOODS, strict=True):
        run = run_of(f"likelihood={name}", folder, FREY_FACE)
        x = test_images(run, FRAME + 1)[0][FRAME:]
        p = model_of(run).decode(model_of(run).encode(x))
        for axes, image in zip(column, (p.mean, p.sample()), strict=False):
            axes.imshow(image[0, 0].numpy(), cmap="gray", vmin=0, vmax=1)
            axes.set_axis_off()
        changed = x.repeat(256, 1, 1, 1)
        changed[:, 0, *PIXEL] = levels
        column[2].plot(levels.numpy(), p.log_prob(changed).softmax(0).numpy(), linewidth=1)
        column[2].axvline(float(x[0, 0, *PIXEL]), color="tab:red", linewidth=1)
        column[2].set_yticks([])
        column[2].set_xticks([0, 1])
        column[0].set_title(name, family="monospace", fontsize=8)
    return figure


def main(folder: str) -> None:
    """Train what is missing, and draw the pictures."""
    with torch.no_grad(), torch.random.fork_rng([]):
        torch.manual_seed(0)
        for draw in (priors, posteriors, likelihoods, objectives):
            (IMAGES / f"{draw.__name__}.png").write_bytes(draw(Path(folder)).png(dpi=90))


if __name__ == "__main__":
    main(*sys.argv[1:])
