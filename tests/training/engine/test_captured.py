"""Captured updates, with a stand-in for the CUDA graph: what surrounds the graph is the same on every device."""

import pytest
import torch

from vae_exp.results.metrics import read_metrics
from vae_exp.training.engine import captured as engine
from vae_exp.training.engine import choice

QUICK = ["logger=none", "callbacks.figures=null", "optimizer.lr=0.002", "dataset.batch_size=5"]
QUICK += ["network.hidden_sizes=[20]", "architecture.latent_dim=3", "callbacks.evaluate.decades=0.5"]
pytestmark = pytest.mark.usefixtures("few_digits")


class Recorded:
    """Stands for a CUDA graph: it runs what it was given on the memory that it was given."""

    made = 0

    def __init__(self, function):
        Recorded.made += 1
        self._function = function

    def __call__(self):
        return self._function()


@pytest.fixture
def captured(monkeypatch):
    """Let runs on the CPU take the captured path."""
    Recorded.made = 0
    monkeypatch.setattr(choice, "UPDATES_PER_GRAPH", 10)
    monkeypatch.setattr(choice, "cuda_graph", Recorded)
    why_not = engine.why_not_captured
    monkeypatch.setattr(choice, "why_not_captured", lambda device, *parts: why_not(torch.device("cuda"), *parts))


def end(outcome):
    """The rows and the whole state that a run ends with."""
    rows = read_metrics(outcome.directory / "metrics.csv")
    checkpoint = torch.load(outcome.directory / "checkpoints" / "last.ckpt", weights_only=True)
    states = checkpoint["optimizer_states"][0]["state"].values()
    return (
        [(row["samples"], row["step"], row["test/nll"]) for row in rows],
        checkpoint["state_dict"],
        [value for state in states for value in state.values()],
        checkpoint["vae_exp"]["generator"],
    )


def same(one, other):
    (rows, weights, optimizer, generator), (other_rows, other_weights, other_optimizer, other_generator) = one, other
    assert rows == other_rows
    assert all(torch.equal(weights[name], other_weights[name]) for name in weights)
    assert all(torch.equal(a, b) for a, b in zip(optimizer, other_optimizer, strict=True))
    assert torch.equal(generator, other_generator)


@pytest.mark.parametrize(
    "choices",
    [
        ["dataset.binarization=dynamic"],
        ["architecture=m2", "architecture.labelled_per_batch=2", "dataset.labels=20", "optimizer=adam"],
        ["architecture=cvae", "likelihood=gaussian", "optimizer=rmsprop", "+trainer.gradient_clip_val=50"],
        ["architecture=dae", "optimizer=sgd", "optimizer.momentum=0.9"],
    ],
    ids=lambda choices: choices[0],
)
def test_captured_updates_are_those_of_one_after_another(run, captured, choices):
    """To the last bit, with the optimizer's state and the generator."""
    by_one = run("samples=215", "trainer.engine=eager", *choices, *QUICK)
    assert Recorded.made == 0
    whole = run("samples=215", "trainer.engine=captured", *choices, *QUICK)
    assert Recorded.made == 1
    assert whole.results["engine"] == "CUDA graph, eager"
    same(end(whole), end(by_one))


def test_a_captured_run_goes_on_to_the_last_bit(run, captured):
    words = ["dataset.binarization=dynamic", "optimizer=adam", *QUICK, "callbacks.evaluate.decades=0.01"]
    whole, part = run("samples=315", *words), run("samples=120", *words)
    assert Recorded.made == 2
    assert run(f"resume='{part.directory}'", "samples=315", directory=part.directory).status == 0
    (_, weights, *_), (_, others, *_) = end(whole), end(part)
    assert all(torch.equal(weights[name], others[name]) for name in weights)


@pytest.mark.parametrize(
    ("words", "reason"), [(["objective=mcem"], "chains"), (["optimizer.lr_decay=0.1"], "optimizer.lr_decay")]
)
def test_what_a_graph_cannot_hold_is_not_captured(run, captured, words, reason):
    outcome = run("samples=100", "trainer.engine=captured", *words, *QUICK)
    assert outcome.status == 1
    assert reason in outcome.err


def test_a_graph_that_cannot_be_made_is_done_without_or_refused(run, captured, monkeypatch):
    def fail(function):
        raise RuntimeError("not permitted\nin so many words")

    by_one = run("samples=215", "trainer.engine=eager", *QUICK)
    monkeypatch.setattr(choice, "cuda_graph", fail)
    without = run("samples=215", *QUICK)
    assert without.results["engine"] == "eager"
    assert "Training without a CUDA graph: not permitted" in without.out + without.err
    same(end(without), end(by_one))
    asked = run("samples=215", "trainer.engine=captured", *QUICK)
    assert asked.status == 1
    assert "trainer.engine=captured: not permitted" in asked.err


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(
    "choices", [["dataset.binarization=dynamic"], ["architecture=m2", "dataset.labels=200"]], ids=str
)
def test_a_graph_on_a_gpu_is_the_same_as_one_update_after_another(run, choices):
    quick = [*choices, *QUICK, "dataset.batch_size=20", "trainer.steps_per_execution=150", "trainer.compile=false"]
    same(
        end(run("samples=3050", "trainer.engine=captured", *quick)),
        end(run("samples=3050", "trainer.engine=eager", *quick)),
    )
