"""`python -m vae_exp.evaluate` on a finished run."""

import itertools
import json
import sys

import pytest
import torch
from conftest import command_line

from vae_exp.architecture import VAE
from vae_exp.dataset.base import Images
from vae_exp.dataset.batches import EvaluationBatches
from vae_exp.dataset.binarization import grey
from vae_exp.evaluate import evaluate, main
from vae_exp.evaluation.active_units import active_units
from vae_exp.likelihood import Bernoulli
from vae_exp.network import MLP
from vae_exp.objective import SGVBB

QUICK = ["network.hidden_sizes=[20]", "logger=none", "callbacks.figures=null", "callbacks.evaluate.decades=0.1"]


@pytest.mark.usefixtures("few_digits")
def test_estimates_agree_on_a_trained_model_of_three_latents(run):
    directory = run("samples=3000", "architecture.latent_dim=3", "optimizer.lr=0.05", *QUICK).directory
    results = evaluate(str(directory), k=2000, images=60, ais_images=60, temperatures=200, hmc_images=60)
    assert json.loads((directory / "evaluation_test.json").read_text()) == results
    bounds = [results[name]["mean"] for name in ("L_1", "L_10", "L_100", "L_1000", "L_2000")]
    assert all(after > before - 0.02 for before, after in itertools.pairwise(bounds))
    assert bounds[0] == pytest.approx(results["bound"]["mean"], abs=4)  # by another estimator
    for name in ("ais", "hmc", "L_2000, ais_images"):
        assert results[name]["mean"] == pytest.approx(bounds[-1], abs=0.2)
    assert 0 <= results["active_units"] <= 3
    assert results["settings"]["images"] == 60


@pytest.mark.usefixtures("few_digits")
def test_conditional_models_are_given_their_labels(run):
    directory = run("samples=300", "architecture=cvae", "architecture.latent_dim=2", *QUICK).directory
    results = evaluate(str(directory), k=50, images=20, ais_images=20, temperatures=50, hmc_images=0)
    assert "hmc" not in results
    assert results["bound"]["mean"] - 1 < results["L_50"]["mean"] < results["ais"]["mean"] + 1


@pytest.mark.usefixtures("few_digits")
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["k=0"], ["k=0", "greater than 0"]),
        (["split=tset"], ["split=tset", "'test'"]),
        (["split=validation"], ["split=validation", "train, test"]),
        (["imagse=5"], ["imagse", "images"]),
        (["test"], ["test", "key=value"]),
        ([], ["run"]),
    ],
)
def test_mistakes_are_one_message(run, arguments, told, tmp_path):
    if arguments:
        directory = run("samples=100", "architecture.latent_dim=2", *QUICK).directory
        arguments = [f"run={directory}", *arguments]
    process = command_line("vae_exp.evaluate", *arguments, cwd=tmp_path)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "Traceback" not in errors
    assert all(word in errors for word in told), errors


@pytest.mark.usefixtures("few_digits")
def test_a_model_without_a_prior_has_no_marginal_likelihood(run, tmp_path):
    directory = run("samples=100", "architecture=ae", "architecture.latent_dim=2", *QUICK).directory
    process = command_line("vae_exp.evaluate", f"run={directory}", cwd=tmp_path)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "no prior over its code" in errors


def test_active_units_are_those_whose_mean_varies():
    model = VAE((1, 4, 4), 0, MLP([]), Bernoulli(), SGVBB(), latent_dim=3).eval()
    with torch.no_grad():
        weight = model.encoder.linears[0].weight
        weight.zero_()
        weight[0, 0], weight[1, 1] = 1.0, 0.05  # variances 1/12 and 1/4800 of a uniform pixel
    pixels = torch.randint(256, (2000, 1, 4, 4), dtype=torch.uint8)
    batches = EvaluationBatches(Images(pixels, torch.zeros(2000, dtype=torch.long)), grey, 300)
    assert active_units(model, batches) == 1


def test_help_needs_no_run(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["evaluate", "--help"])
    main()
    assert "python -m vae_exp.evaluate run=" in capsys.readouterr().out
