"""The error of a run's classifier, computed from its model and its images."""

from pathlib import Path

import torch

from vae_exp import load_run
from vae_exp.config.assembly import build_data


def share_of_wrong_guesses(directory: Path, split: str = "test") -> float:
    """Compare the most probable classes with the labels, where there are labels."""
    run = load_run(directory)
    data = build_data(run.config)
    data.load(torch.device("cpu"))
    x, y = next(iter(data.evaluation_batches(split, 1000)))
    with torch.no_grad():
        guesses = run.model.classify(x[y >= 0]).argmax(1)
    return (guesses != y[y >= 0]).double().mean().item()
