import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vae_exp.network import linear
from vae_exp.results.metrics import read_metrics
from vae_exp.training.engine import gradients
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


def test_the_budget_is_exact_where_batches_do_not_divide_it(run):
    outcome = run("samples=1050", *QUICK)
    assert (outcome.results["samples"], outcome.results["step"]) == (1050, 11)


def test_evaluating_leaves_no_trace_in_the_training(run):
    often = run("samples=1000", "callbacks.evaluate.per_decade=10", "dataset.binarization=dynamic", *QUICK)
    seldom = run("samples=1000", "callbacks.evaluate.per_decade=1", "dataset.binarization=dynamic", *QUICK)
    assert len(read_metrics(often.directory / "metrics.csv")) > len(read_metrics(seldom.directory / "metrics.csv"))
    assert often.results["test/bound"] == seldom.results["test/bound"]


def test_many_updates_in_one_lightning_step_are_many_steps_of_one(run):
    """Exactly: also where the evaluations and the budget do not lie on a multiple of the updates."""

    def end(updates):
        outcome = run(
            "samples=2050",
            "dataset.binarization=dynamic",
            f"trainer.steps_per_execution={updates}",
            *QUICK,
        )
        rows = read_metrics(outcome.directory / "metrics.csv")
        weights = torch.load(outcome.directory / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        return [(row["samples"], row["step"], row["test/nll"]) for row in rows], weights

    (rows, weights), *others = end(1), end(7), end(50)
    assert rows[-1][:2] == (2050, 21)
    for other_rows, other_weights in others:
        assert other_rows == rows
        assert all(torch.equal(weights[name], other_weights[name]) for name in weights)


@pytest.mark.skipif(not linear.AVAILABLE, reason="this PyTorch has no oneDNN")
def test_fast_linear_is_the_default_and_one_key_turns_it_off(run, monkeypatch):
    calls = []
    by_onednn = linear.by_onednn
    monkeypatch.setattr(linear, "by_onednn", lambda *parts: calls.append(0) or by_onednn(*parts))
    fast = run("samples=1500", "optimizer.lr=0.002", *QUICK).results["test/bound"]
    assert len(calls) > 15 * 5  # five large products per update, and the evaluations
    calls.clear()
    plain = run("samples=1500", "optimizer.lr=0.002", "trainer.fast_linear=false", *QUICK).results["test/bound"]
    assert not calls
    assert fast == pytest.approx(plain, abs=1e-2)


def test_a_long_run_is_compiled_unless_one_key_turns_it_off(run, monkeypatch):
    """As long as the threshold says; it is lowered here."""
    made = []
    monkeypatch.setattr(gradients, "REPAID_FROM", 3)
    monkeypatch.setattr(gradients, "has_compiler", lambda: True)
    monkeypatch.setattr(gradients, "Compiled", lambda model, required: made.append(required) or gradients.Eager(model))
    assert run("samples=200", *QUICK).status == 0
    assert not made
    assert run("samples=300", "trainer.compile=false", *QUICK).status == 0
    assert not made
    assert run("samples=300", *QUICK).results["step"] == 3
    assert made == [False]


def test_bfloat16_trains_to_about_the_same_bound(run):
    bounds = [run("samples=3000", f"trainer.precision={p}", *QUICK).results["test/bound"] for p in (32, "bf16-mixed")]
    assert bounds[0] != bounds[1]
    assert bounds[0] == pytest.approx(bounds[1], abs=10)


def test_gradients_are_clipped_where_asked_for(run):
    def first_step(*clip):
        # plain gradient descent, one step: the weights move by lr times the gradient
        outcome = run("samples=100", "optimizer=sgd", "optimizer.lr=1", "weight_prior=0", *clip, *QUICK)
        ends = torch.load(outcome.directory / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        return sum(w.square().sum().item() for name, w in ends.items() if "bias" in name) ** 0.5

    assert first_step("+trainer.gradient_clip_val=0.01") <= 0.01 + 1e-6 < first_step()


def test_the_same_seed_gives_the_same_numbers_and_another_one_others(run):
    bounds = [run("samples=500", f"seed={seed}", *QUICK).results["test/bound"] for seed in (0, 0, 1)]
    assert bounds[0] == bounds[1] != bounds[2]


def test_the_validation_split_is_evaluated_and_chooses_the_best(run):
    outcome = run("samples=1000", "dataset.validation_size=100", "callbacks.evaluate.decades=1", *QUICK)
    rows = read_metrics(outcome.directory / "metrics.csv")
    assert outcome.results["validation/bound"] == rows[-1]["validation/bound"]
    best = torch.load(outcome.directory / "checkpoints" / "best.ckpt", weights_only=True)
    assert best["vae_exp"]["samples_seen"] == max(rows, key=lambda row: row["validation/bound"])["samples"]


def test_weight_prior_pulls_the_weights_to_zero(run):
    def norm(prior):
        outcome = run("samples=4000", f"weight_prior={prior}", "optimizer=sgd", "optimizer.lr=1e-4", *QUICK)
        weights = torch.load(outcome.directory / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        return sum(w.square().sum().item() for name, w in weights.items() if name.endswith("weight"))

    assert norm(4e5) < 0.98 * norm(0.0)


def test_the_share_of_pixels_on_the_floor_of_sigma_is_logged(run):
    outcome = run("samples=200", "likelihood=gaussian", "likelihood.min_std=10", *QUICK)
    assert outcome.results["test/share_at_min_std"] == 1.0


def test_every_evaluation_is_a_line_and_the_bar_can_be_switched_off(run):
    outcome = run("samples=1000", "callbacks.evaluate.decades=1", *QUICK)
    lines = [line for line in outcome.out.splitlines() if "steps/s" in line]
    assert len(lines) == len(read_metrics(outcome.directory / "metrics.csv"))
    assert f"test/bound {outcome.results['test/bound']:9.2f}" in lines[-1]
    assert "steps/s" not in run("samples=200", "trainer.enable_progress_bar=false", *QUICK).out


def test_an_evaluation_may_be_of_the_first_images_only_and_estimate_the_marginal_likelihood(run, monkeypatch):
    monkeypatch.setattr("vae_exp.posterior.hmc.DRAWS", 1000)
    some = ["callbacks.evaluate.images=20", "callbacks.evaluate.marginal_likelihood=true"]
    quick = ["samples=1000", "network.hidden_sizes=[30]", "architecture.latent_dim=3", *QUICK]
    quick += ["callbacks.evaluate.decades=0.3"]
    part, whole = run(*some, *quick).results, run(*quick).results
    assert (part["train/images"], part["test/images"]) == (20, 20)
    assert (whole["train/images"], whole["test/images"]) == (400, 100)
    assert part["test/bound"] != whole["test/bound"]
    assert part["test/bound"] < part["test/log_likelihood"] < part["test/bound"] + 10
    assert "test/log_likelihood" not in whole


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
