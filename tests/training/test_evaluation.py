import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vae_exp.results.metrics import read_metrics
from vae_exp.training.evaluation import evaluation_points

QUICK = ["logger=none", "callbacks.figures=null"]
pytestmark = pytest.mark.usefixtures("few_digits")


def test_evaluation_points_are_log_spaced_and_end_with_the_budget():
    assert evaluation_points(1_000_000, 4, 1.0) == [100_000, 177_828, 316_228, 562_342, 1_000_000]
    assert evaluation_points(600_000, 4, 1.0) == [100_000, 177_828, 316_228, 562_342, 600_000]


@given(st.integers(1, 10**9), st.integers(1, 10), st.floats(0.1, 6))
def test_evaluation_points_lie_in_the_last_decades(samples, per_decade, decades):
    points = evaluation_points(samples, per_decade, decades)
    assert points == sorted(set(points))
    assert points[-1] == samples
    assert points[0] >= samples / 10**decades * 0.999 - 1
    assert len(points) <= per_decade * decades + 2


def test_evaluating_leaves_no_trace_in_the_training(run):
    often = run("samples=1000", "callbacks.evaluate.per_decade=10", "dataset.binarization=dynamic", *QUICK)
    seldom = run("samples=1000", "callbacks.evaluate.per_decade=1", "dataset.binarization=dynamic", *QUICK)
    assert len(read_metrics(often.directory / "metrics.csv")) > len(read_metrics(seldom.directory / "metrics.csv"))
    assert often.results["test/bound"] == seldom.results["test/bound"]


def test_the_validation_split_is_evaluated_and_chooses_the_best(run):
    outcome = run("samples=1000", "dataset.validation_size=100", "callbacks.evaluate.decades=1", *QUICK)
    rows = read_metrics(outcome.directory / "metrics.csv")
    assert outcome.results["validation/bound"] == rows[-1]["validation/bound"]
    latents = read_metrics(outcome.directory / "kl_per_latent.csv")
    for row, carried in zip(rows, latents, strict=True):
        assert row["samples"] == carried["samples"]
        for split in ("train", "validation", "test"):
            total = sum(carried[f"{split}/kl_per_latent/{i}"] for i in range(20))
            assert total == pytest.approx(row[f"{split}/kl"], rel=1e-5)
    best = torch.load(outcome.directory / "checkpoints" / "best.ckpt", weights_only=True)
    assert best["vae_exp"]["samples_seen"] == max(rows, key=lambda row: row["validation/bound"])["samples"]


def test_the_share_of_pixels_on_the_floor_of_sigma_is_logged(run):
    outcome = run("samples=200", "likelihood=gaussian", "likelihood.min_std=10", *QUICK)
    assert outcome.results["test/share_at_min_std"] == 1.0


def test_an_evaluation_may_be_of_the_first_images_only_and_estimate_the_marginal_likelihood(run):
    some = ["callbacks.evaluate.images=20", "callbacks.evaluate.marginal_likelihood=true"]
    quick = ["samples=1000", "network.hidden_sizes=[30]", "architecture.latent_dim=3", *QUICK]
    quick += ["callbacks.evaluate.decades=0.3"]
    part, whole = run(*some, *quick).results, run(*quick).results
    assert (part["train/images"], part["test/images"]) == (20, 20)
    assert (whole["train/images"], whole["test/images"]) == (400, 100)
    assert part["test/bound"] != whole["test/bound"]
    assert part["test/bound"] < part["test/log_likelihood"] < part["test/bound"] + 10
    assert "test/log_likelihood" not in whole


def test_the_training_split_is_whole_at_the_end_only(run):
    outcome = run("samples=1000", "callbacks.evaluate.train_images=70", *QUICK)
    counts = [row["train/images"] for row in read_metrics(outcome.directory / "metrics.csv")]
    assert counts[:-1] == [70] * (len(counts) - 1)
    assert len(counts) > 1
    assert outcome.results["train/images"] == counts[-1] > 70
    rows = read_metrics(run("samples=1000", "callbacks.evaluate.train_images=null", *QUICK).directory / "metrics.csv")
    assert [row["test/bound"] for row in rows][-1] == outcome.results["test/bound"]
    assert {row["train/images"] for row in rows} == {counts[-1]}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["architecture.latent_dim=5"], "architecture.latent_dim=5"),
        (["architecture=ae", "architecture.latent_dim=3"], "no prior"),
    ],
)
def test_a_marginal_likelihood_that_cannot_be_estimated_is_refused_at_the_start(run, words, told):
    outcome = run("samples=1000", "callbacks.evaluate.marginal_likelihood=true", *words, *QUICK)
    assert outcome.status == 1
    assert "callbacks.evaluate.marginal_likelihood=true" in outcome.err
    assert told in outcome.err
    assert outcome.results["step"] == 0
