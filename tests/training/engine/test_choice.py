"""What chooses the engine of a run."""

import pytest
import torch

from vae_exp.architecture import VAE
from vae_exp.likelihood import Bernoulli
from vae_exp.network import MLP, Conv, linear
from vae_exp.objective import SGVBB
from vae_exp.training.engine import compiled

QUICK = ["logger=none", "callbacks.figures=null"]
pytestmark = pytest.mark.usefixtures("few_digits")
SHAPE = (1, 28, 28)


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
    """Here, three updates are long."""
    made = []
    monkeypatch.setattr(compiled, "compiling_pays", lambda model, updates: updates >= 3)
    monkeypatch.setattr(compiled, "Compiled", lambda eager, required, *parts: made.append(required) or eager)
    assert run("samples=200", *QUICK).status == 0
    assert not made
    assert run("samples=300", "trainer.compile=false", *QUICK).status == 0
    assert not made
    assert run("samples=300", *QUICK).results["step"] == 3
    assert made == [False]


@pytest.mark.parametrize(
    ("updates", "network", "compiler", "expected"),
    [
        (10_000, MLP([5]), "g++", True),
        (9_999, MLP([5]), "g++", False),
        (100_000, Conv([2], [2], 3), "g++", False),
        (100_000, MLP([5]), None, False),
    ],
)
def test_compiling_is_chosen_where_it_is_repaid(monkeypatch, updates, network, compiler, expected):
    monkeypatch.setattr("shutil.which", lambda name: compiler and f"/usr/bin/{compiler}")
    model = VAE(SHAPE, 10, network, Bernoulli(), SGVBB(), latent_dim=2)
    assert compiled.compiling_pays(model, updates) is expected


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["trainer.engine=captured"], "this run is on cpu"),
        (["trainer.engine=eager", "trainer.compile=true"], "contradicts trainer.compile=true"),
        (["trainer.engine=graph"], "captured"),
    ],
)
def test_an_engine_that_cannot_be_had_is_refused(run, words, reason):
    outcome = run("samples=100", *words, *QUICK)
    assert outcome.status == 1
    assert reason in outcome.err
    assert "trainer.engine" in outcome.err


def test_products_of_less_precision_are_those_of_training_alone_and_are_told(run):
    outcome = run("samples=100", "trainer.float32_matmul_precision=high", *QUICK)
    assert outcome.results["product"].endswith(", high precision")
    assert torch.get_float32_matmul_precision() == "highest"
