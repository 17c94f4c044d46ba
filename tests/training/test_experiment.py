import pytest
import torch

from vae_exp.results.metrics import read_metrics

QUICK = ["logger=none", "callbacks.figures=null"]
pytestmark = pytest.mark.usefixtures("few_digits")


def test_the_budget_is_exact_where_batches_do_not_divide_it(run):
    outcome = run("samples=1050", *QUICK)
    assert (outcome.results["samples"], outcome.results["step"]) == (1050, 11)


def test_many_updates_in_one_lightning_step_are_many_steps_of_one(run):
    """Exactly: also where the evaluations and the budget do not lie on a multiple of the updates."""

    def end(updates):
        outcome = run(
            "samples=2050",
            "dataset.binarization=dynamic",
            "scheduler=cosine",
            "architecture.beta={warmup: 1500}",
            "architecture.free_bits=0.1",
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


def test_bfloat16_trains_to_about_the_same_bound(run):
    words = ["samples=3000", "optimizer.lr=0.002", *QUICK]
    exact, rounded = (run(f"trainer.precision={p}", *words).results for p in ("32-true", "bf16-mixed"))
    assert rounded["product"] == "bfloat16"
    assert 0 < abs(rounded["test/bound"] - exact["test/bound"]) < 0.1


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


def test_a_loss_that_is_not_finite_stops_the_run(run):
    outcome = run("optimizer=sgd", "optimizer.lr=1e9", *QUICK, "samples=1000", "optimizer.momentum=0")
    assert outcome.status == 1
    assert "Traceback" not in outcome.err
    for word in ("not finite at step", "nll", "optimizer.lr"):
        assert word in outcome.err
    assert outcome.results["status"] == "diverged"
    assert outcome.results["samples"] < 1000
