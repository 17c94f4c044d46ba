"""`python -m vae_exp.cli.evaluate` on a finished run."""

import itertools
import json
import re
import sys
from contextlib import nullcontext

import pytest
import torch

from vae_exp.cli.evaluate import evaluate, main
from vae_exp.dataset.base import Images, Splits
from vae_exp.dataset.mnist import MNIST
from vae_exp.errors import ConfigError
from vae_exp.evaluation.marginal_likelihood import AnnealedEstimate
from vae_exp.results.metrics import read_metrics
from vae_exp.results.numbers import alone, shown


def with_other_test_labels(splits):
    return Splits(splits.train, Images(splits.test.pixels, (splits.test.labels + 1) % 10))


def with_random_training_labels(splits):
    labels = torch.randint(10, (len(splits.train),), generator=torch.Generator().manual_seed(0))
    return Splits(Images(splits.train.pixels, labels), splits.test)


QUICK = ["network.hidden_sizes=[20]", "logger=none", "callbacks.figures=null", "callbacks.evaluate.decades=0.1"]


@pytest.mark.usefixtures("few_digits")
@pytest.mark.parametrize(
    ("objective", "from_the_encoder"),
    [
        ("sgvb_b", nullcontext()),
        pytest.param("mcem", pytest.raises(ConfigError, match="hmc_begin_at=encoder"), marks=pytest.mark.slow),
    ],
    ids=["sgvb_b", "mcem"],
)
def test_estimates_agree_on_a_trained_model_of_three_latents(run, objective, from_the_encoder):
    few = [f"objective={objective}", "architecture.latent_dim=3", "callbacks.evaluate.images=16"]
    few += ["dataset.train_size=100"]
    directory = run("samples=3000", "optimizer.lr=0.05", *few, *QUICK).directory
    results = evaluate(str(directory), k=1000, images=16, ais_images=16, temperatures=100, hmc_images=16)
    assert json.loads((directory / "evaluation_test.json").read_text()) == results
    bounds = [results[name] for name in ("L_1", "L_10", "L_100", "L_1000")]
    for before, after in itertools.pairwise(bounds):
        assert after["mean"] > before["mean"] - 3 * (before["error_over_draws"] or 0)
    assert bounds[0]["mean"] == pytest.approx(results["bound"]["mean"], abs=4)  # by another estimator
    for name in ("ais", "ais/L_1000", "hmc", "hmc/L_1000"):
        assert results[name]["mean"] == pytest.approx(bounds[-1]["mean"], abs=0.3)
        assert results[name]["images"] == 16
    assert results["active_units"] == 3
    assert ("test/active_units" in read_metrics(directory / "metrics.csv")[-1]) == (objective != "mcem")
    assert results["settings"]["images"] == 16
    few = {"k": 1, "images": 16, "ais_images": 0, "hmc_images": 16}
    with from_the_encoder:
        begun_there = evaluate(str(directory), hmc_begin_at="encoder", **few)["hmc"]["mean"]
        assert begun_there == pytest.approx(bounds[-1]["mean"], abs=0.5)


@pytest.mark.usefixtures("few_digits")
def test_every_estimate_is_of_the_same_images(run, monkeypatch):
    """Also where each look at the data draws them anew; and what was asked for is no more than there is."""
    quick = [*QUICK, "dataset.binarization=dynamic", "architecture=cvae", "architecture.latent_dim=5"]
    directory = run("samples=300", *quick).directory
    seen = []

    def estimate(model, x, y, *_, **__):
        seen.append((x, y))
        nan = torch.full((len(x),), torch.nan)
        return AnnealedEstimate(x.flatten(1).sum(1), nan, nan, 7, torch.nan)

    for name in ("importance_weighted", "annealed"):
        monkeypatch.setattr(f"vae_exp.evaluation.marginal_likelihood.{name}", estimate)
    before = torch.get_rng_state()
    results = evaluate(str(directory), k=10, images=1, ais_images=20)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(x, seen[0][0]) and torch.equal(y, seen[0][1]) for x, y in seen)
    assert len({results[name]["mean"] for name in ("L_1", "L_10", "ais", "ais/L_10")}) == 1
    assert "hmc" not in results
    assert results["mutual_information"]["mean"] == pytest.approx(0, abs=1e-9)  # one image leaves nothing to tell
    assert results["largest_mutual_information"] == 0
    assert json.loads((directory / "evaluation_test.json").read_text())["ais"] == {
        "mean": results["ais"]["mean"],
        "standard_error": None,  # one image, one draw
        "images": 1,
        "error_over_draws": None,
        "spread_over_chains": None,
        "temperatures": 7,
        "changed_by_doubling": None,
    }


@pytest.mark.usefixtures("few_digits")
def test_a_run_may_be_called_by_a_number(run, tmp_path, monkeypatch, capfd):
    run("samples=100", "architecture.latent_dim=2", *QUICK, directory=tmp_path / "0")
    monkeypatch.setattr(
        sys, "argv", ["evaluate", "run=0", "k=20", "images=5", "ais_images=3", "tolerance=5", "hmc_images=4"]
    )
    main()
    out = capfd.readouterr().out
    told = dict(line.split(maxsplit=1) for line in reversed(out.splitlines()) if line)  # numbers come before notes
    assert re.fullmatch(r"-[\d.]+ ± [\d.]+ nats per image, over 5 images", told["L_1"])
    assert re.fullmatch(r"-[\d.]+ ± [\d.]+ nats per image, over 5 images; ± [\d.]+ over draws", told["L_20"])
    evaluated = json.loads((tmp_path / "0" / "evaluation_test.json").read_text())
    for name in ("L_20", "bound", "mutual_information"):
        assert told[name].startswith(shown(evaluated[name]["mean"], evaluated[name]["standard_error"]) + " nats")
    assert told["L_20"].endswith(f"± {alone(evaluated['L_20']['error_over_draws'])} over draws")
    assert "over 4 images; ± " in told["hmc"]
    assert re.search(r"over 3 images; .* over draws; \d+ temperatures, spread [\d.]+ over chains, changed", told["ais"])
    assert "of L_k and ais the larger is the estimate" in out
    assert "cannot exceed -" in out


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
def test_mistakes_are_one_message(run, arguments, told, monkeypatch, capfd):
    if arguments:
        directory = run("samples=100", "architecture.latent_dim=2", *QUICK).directory
        arguments = [f"run={directory}", *arguments]
    monkeypatch.setattr(sys, "argv", ["evaluate", *arguments])
    with pytest.raises(SystemExit, match="1"):
        main()
    errors = capfd.readouterr().err
    assert "Traceback" not in errors
    assert all(word in errors for word in told), errors


def judged(run, architecture):
    """A run, and what every code is told."""
    words = [f"architecture={architecture}", "architecture.latent_dim=5", "dataset.batch_size=50"]
    outcome = run("samples=3000", *words, *QUICK)
    results = evaluate(str(outcome.directory), k=10, ais_images=0)
    assert json.loads((outcome.directory / "evaluation_test.json").read_text()) == results
    assert 20 < results["squared_error"] < 120
    assert results["jacobian_norm"] > 0
    assert results["saturated_units"] is None
    return outcome, results


JUDGES = {"nearest_neighbours_accuracy", "linear_probe_accuracy"}


@pytest.mark.usefixtures("few_digits")
def test_a_deterministic_code_is_judged_and_not_held_to_a_prior(run):
    outcome, results = judged(run, "dae")
    assert "test/active_units" not in outcome.results
    assert results.keys() >= JUDGES
    assert not results.keys() & {"error", "L_10"}
    assert results["squared_error"] < results["squared_error_of_corrupted"] < 1.5 * results["squared_error"]


@pytest.mark.usefixtures("few_digits")
def test_a_code_that_is_told_the_label_is_not_asked_for_it(run):
    outcome, results = judged(run, "cvae")
    assert outcome.results["test/active_units"] == results["active_units"]
    assert not results.keys() & {*JUDGES, "error"}
    assert "L_10" in results


@pytest.mark.usefixtures("few_digits")
def test_the_code_of_m2_is_never_told_the_label_that_it_is_asked_for(run, monkeypatch):
    outcome, results = judged(run, "m2")
    assert outcome.results["test/active_units"] == results["active_units"]
    assert results.keys() >= {*JUDGES, "error"}
    assert "L_10" not in results
    load = MNIST.load
    monkeypatch.setattr(MNIST, "load", lambda source: with_other_test_labels(load(source)))
    again = evaluate(str(outcome.directory), k=10, ais_images=0)
    assert again["squared_error"] == results["squared_error"]
    assert again["jacobian_norm"] == results["jacobian_norm"]
    assert again["error"] != results["error"]


@pytest.mark.usefixtures("few_digits")
def test_of_the_training_images_none_is_its_own_neighbour_and_the_probe_was_fitted_to_them(run, monkeypatch):
    """Labels at random are told by chance, 0.1, from the codes of other images."""
    load = MNIST.load
    monkeypatch.setattr(MNIST, "load", lambda source: with_random_training_labels(load(source)))
    directory = run("samples=300", "architecture=ae", "architecture.latent_dim=5", *QUICK).directory
    train, test = (evaluate(str(directory), split=split) for split in ("train", "test"))
    assert train["nearest_neighbours_accuracy"] == pytest.approx(0.1, abs=0.06)
    assert "linear_probe_accuracy" not in train
    assert train["linear_probe_training_accuracy"] > test["linear_probe_accuracy"]
    assert "linear_probe_training_accuracy" not in test


@pytest.mark.usefixtures("few_digits")
def test_images_without_a_label_are_not_asked_for_one(run):
    directory = run("samples=300", "architecture=m2", "dataset.labels=10", *QUICK).directory
    results = evaluate(str(directory), split="train", images=1)
    assert not {"error", "nearest_neighbours_accuracy", "linear_probe_training_accuracy"} & results.keys()


def test_help_needs_no_run(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["evaluate", "--help"])
    main()
    assert "python -m vae_exp evaluate run=" in capsys.readouterr().out
