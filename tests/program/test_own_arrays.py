"""A user's own arrays and tables, from the command line to the loaded run."""

import json
import math

import numpy as np
import pytest
import torch

from vae_exp import load_run
from vae_exp.cli.evaluate import evaluate
from vae_exp.dataset import Images

QUICK = ["logger=none", "callbacks.figures=null", "callbacks.evaluate.decades=0.1"]
GAUSSIAN = ["likelihood=gaussian", "likelihood.mean=identity"]
SMALL = ["samples=40", "dataset.batch_size=10", "network.hidden_sizes=[6]", "architecture.latent_dim=2"]
ROWS = np.random.default_rng(0).normal(size=(60, 30))


@pytest.fixture
def rows(tmp_path):
    np.savez(tmp_path / "rows.npz", x=ROWS, y=np.arange(60) % 3)
    return ["dataset=arrays", f"dataset.source.path={tmp_path / 'rows.npz'}"]


class TestRows:
    def test_train_through_an_mlp_and_are_drawn(self, run, rows):
        outcome = run(*rows, *GAUSSIAN, *SMALL, "logger=none", "callbacks.evaluate.decades=0.1")
        assert outcome.status == 0, outcome.err
        assert isinstance(outcome.results["test/bound"], float)
        assert "jacobian" not in outcome.results
        figures = {path.stem for path in (outcome.directory / "figures").iterdir()}
        assert figures == {"latent_scatter", "reconstructions", "samples"}
        loaded = load_run(outcome.directory)
        assert loaded.standardisation is None
        assert loaded.model.sample(2).shape == (2, 1, 1, 30)

    @pytest.mark.parametrize("likelihood", [["likelihood=bernoulli"], ["likelihood=gaussian"], GAUSSIAN])
    def test_of_real_values_need_a_likelihood_of_real_values(self, run, rows, likelihood):
        outcome = run(*rows, *likelihood, *SMALL, *QUICK)
        assert outcome.status == int(likelihood is not GAUSSIAN)
        if likelihood is not GAUSSIAN:
            assert "likelihood.mean=identity" in outcome.err
            assert not (outcome.directory / "checkpoints" / "last.ckpt").exists()

    def test_cannot_be_binarized(self, run, rows):
        outcome = run(*rows, *GAUSSIAN, *SMALL, *QUICK, "dataset.binarization=dynamic")
        assert "dataset.binarization=dynamic: the values are real numbers" in outcome.err

    def test_of_a_path_that_is_not_given(self, run):
        outcome = run("dataset=arrays")
        assert "dataset.source.path: a value is needed" in outcome.err


class TestOwnValidationSplit:
    def test_stops_a_run_early_and_chooses_its_best_model(self, run, tmp_path):
        """Nothing is held out of the training images."""
        draws = np.random.default_rng(0)
        arrays = {
            f"x_{split}": draws.random((n, 6, 5)) for split, n in (("train", 60), ("validation", 20), ("test", 20))
        }
        np.savez(tmp_path / "mine.npz", **arrays)
        words = ["dataset=arrays", f"dataset.source.path={tmp_path / 'mine.npz'}", *SMALL[1:], *QUICK]
        words += [
            "samples=400",
            "callbacks/stop=patience",
            "callbacks.stop.min_delta=1e5",
            "callbacks.evaluate.decades=1",
        ]
        outcome = run(*words)
        assert outcome.status == 0, outcome.err
        results = outcome.results
        assert results["stopped_by"] == "EarlyStopping: validation/bound has not improved for 3 evaluations"
        assert (results["train/images"], results["validation/images"], results["test/images"]) == (60, 20, 20)
        bounds = [row["validation/bound"] for row in load_run(outcome.directory).rows]
        assert len(bounds) == 4
        options = {"split": "validation", "k": 1, "ais_images": 0, "hmc_images": 0, "checkpoint": "best"}
        assert evaluate(str(outcome.directory), **options)["bound"]["mean"] == pytest.approx(max(bounds), abs=1e-4)

    def test_is_missing_and_the_message_names_a_size_that_the_data_has(self, run, rows):
        outcome = run(*rows, *GAUSSIAN, *SMALL, *QUICK, "callbacks/stop=patience")
        assert "there is no validation split: dataset.validation_size=8" in outcome.err  # a sixth of 48


class TestStandardisation:
    def test_gives_every_estimate_in_the_original_units(self, run, rows, tmp_path):
        """Rows in other units standardise to the same pixels, so every log density differs by Σ log of the units."""
        standard = [*rows, *GAUSSIAN, *SMALL, *QUICK, "dataset.source.standardise=true"]
        first = run(*standard)
        assert first.status == 0, first.err
        assert "standardised; log densities are in the original units" in (first.directory / "vae_exp.log").read_text()
        np.savez(tmp_path / "rows.npz", x=ROWS * 1024 + 7, y=np.arange(60) % 3)
        second = run(*standard)
        moved = 30 * math.log(1024)
        for name, sign in {"test/bound": -1, "train/bound": -1, "test/nll": 1, "jacobian": -1}.items():
            assert second.results[name] == pytest.approx(first.results[name] + sign * moved, abs=0.02), name
        assert second.results["test/kl"] == pytest.approx(first.results["test/kl"], abs=1e-3)
        few = {"k": 10, "ais_images": 3, "temperatures": 4, "hmc_images": 3, "hmc_samples": 8}
        other = evaluate(str(second.directory), **few)
        np.savez(tmp_path / "rows.npz", x=ROWS, y=np.arange(60) % 3)
        one = evaluate(str(first.directory), **few)
        for name in ("bound", "L_1", "L_10", "ais", "ais/L_10", "hmc", "hmc/L_10"):
            assert other[name]["mean"] == pytest.approx(one[name]["mean"] - moved, abs=0.1), name
        assert one["bound"]["mean"] == pytest.approx(first.results["test/bound"], abs=1.5)
        assert one["jacobian"] == first.results["jacobian"]
        assert "standardised" in one["notes"][-1]

    def test_a_run_keeps_the_way_back(self, run, rows):
        outcome = run(*rows, *GAUSSIAN, *SMALL, *QUICK, "dataset.source.standardise=true")
        loaded = load_run(outcome.directory)
        x = Images(torch.from_numpy(ROWS).view(-1, 1, 1, 30), torch.zeros(60))
        standardised = loaded.standardisation.apply(x).pixels
        torch.testing.assert_close(loaded.standardisation.invert(standardised), x.pixels, atol=1e-6, rtol=0)
        assert loaded.standardisation.log_jacobian == loaded.metrics["jacobian"]
        resumed = run(f"resume={outcome.directory}", "samples=60")
        assert resumed.status == 0, resumed.err
        results = json.loads((outcome.directory / "results.json").read_text())
        assert (results["samples"], results["jacobian"]) == (60, loaded.metrics["jacobian"])


def test_a_linear_vae_reaches_the_likelihood_of_probabilistic_pca(run, tmp_path):
    """Tipping and Bishop 1999, eq. 4 and 7; Lucas et al. 2019: the bound of a linear VAE is tight at its optimum."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(500, 2)) @ generator.normal(size=(2, 5)) + 0.5 * generator.normal(size=(500, 5))
    x = x * [1, 2, 0.5, 10, 0.1] + np.arange(5)
    np.savez(tmp_path / "x.npz", x_train=x, x_test=x)
    standardised = (x - x.mean(0)) / x.std(0)
    variances = np.linalg.eigvalsh(standardised.T @ standardised / 500)
    noise = variances[:3].mean()
    exact = -0.5 * (5 * math.log(2 * math.pi) + np.log(variances[3:]).sum() + 3 * math.log(noise) + 5)
    outcome = run(
        *["dataset=arrays", f"dataset.source.path={tmp_path / 'x.npz'}", "dataset.source.standardise=true"],
        *[*GAUSSIAN, "likelihood.variance=shared", "network.hidden_sizes=[]", "architecture.latent_dim=2"],
        *["optimizer=adam", "optimizer.lr=0.01", "objective.samples=4", "weight_prior=0", "samples=60000", *QUICK],
    )
    assert outcome.status == 0, outcome.err
    loaded = load_run(outcome.directory)
    torch.manual_seed(0)
    pixels = torch.from_numpy(standardised).float().view(500, 1, 1, 5)
    bound = torch.stack([loaded.model.bound(pixels) for _ in range(100)]).double().mean().item()
    assert exact - 0.05 < bound < exact + 0.01
    in_original_units = exact - np.log(x.std(0)).sum()
    assert outcome.results["test/bound"] == pytest.approx(in_original_units, abs=0.2)  # one draw per row
