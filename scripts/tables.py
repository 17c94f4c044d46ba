"""Compare Gaussian VAEs with full-covariance Gaussians on scikit-learn's tables, in nats of the original units.

    python scripts/tables.py [seeds]

Each seed draws its own test rows, a fifth of the table. The Gaussian is fitted to the training rows by maximum
likelihood. The digits are whole numbers from 0 to 16; uniform noise makes them continuous, x = (d + u)/17, because the
density of whole numbers has no upper limit.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from sklearn import datasets
from torch.distributions import MultivariateNormal

from vae_exp.dataset.arrays import Arrays

TABLES = {"digits": datasets.load_digits, "breast_cancer": datasets.load_breast_cancer, "wine": datasets.load_wine}
COMMON = [
    "dataset=arrays",
    "dataset.source.standardise=true",
    "likelihood=gaussian",
    "likelihood.mean=identity",
    "optimizer=adam",
    "optimizer.lr=0.001",
    "weight_prior=0",
    "samples=300000",
    "logger=none",
    "callbacks.figures=null",
]
SIZES = {
    "digits": ["network.hidden_sizes=[200]", "architecture.latent_dim=15"],
    "breast_cancer": ["network.hidden_sizes=[100]", "architecture.latent_dim=10"],
    "wine": ["network.hidden_sizes=[50]", "architecture.latent_dim=3"],
}


def write(name: str, folder: Path) -> Path:
    """Write a table with its labels."""
    table = TABLES[name]()
    x = table.data
    if name == "digits":
        x = (x + np.random.default_rng(0).random(x.shape)) / 17
    np.savez(folder / f"{name}.npz", x=x, y=table.target)
    return folder / f"{name}.npz"


def gaussian(path: Path, seed: int) -> float:
    """The mean log density of the test rows under the Gaussian of the training rows."""
    splits = Arrays(str(path), split_seed=seed, standardise=True).load()
    train, test = (images.pixels.flatten(1).double() for images in (splits.train, splits.test))
    mean, std = train.mean(0), train.std(0, correction=0)  # a Gaussian is the same in any units; this one is stabler
    train, test = (train - mean) / std, (test - mean) / std
    factor = torch.linalg.cholesky(train.T @ train / len(train))
    density = MultivariateNormal(torch.zeros_like(mean), scale_tril=factor)
    return (density.log_prob(test).mean() - std.log().sum()).item()


def vae(name: str, path: Path, seed: int, folder: Path) -> dict[str, float]:
    """The metrics of a trained VAE."""
    directory = folder / f"{name}_{seed}"
    words = [f"dataset.source.path={path}", f"dataset.source.split_seed={seed}", f"seed={seed}", *COMMON, *SIZES[name]]
    command = [sys.executable, "-m", "vae_exp", *words, f"hydra.run.dir={directory}"]
    subprocess.run(command, check=True, capture_output=True)
    results: dict[str, float] = json.loads((directory / "results.json").read_text())
    return results


def main(seeds: int = 3) -> None:
    """Print a table in Markdown; ± is the standard deviation over the seeds."""
    print("| table | Gaussian, test | VAE, train bound | VAE, test bound | difference |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name in TABLES:
            path = write(name, Path(folder))
            rows = []
            for seed in range(seeds):
                metrics, theirs = vae(name, path, seed, Path(folder)), gaussian(path, seed)
                rows.append([theirs, metrics["train/bound"], metrics["test/bound"], metrics["test/bound"] - theirs])
            values = np.array(rows)
            cells = [f"{m:.2f} ± {s:.2f}" for m, s in zip(values.mean(0), values.std(0, ddof=1), strict=True)]
            print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
