import pytest
import torch


@pytest.mark.usefixtures("few_digits")
def test_without_evaluations_the_trained_weights_are_saved(run):
    outcome = run("samples=300", "logger=none", "callbacks.figures=null", "callbacks.evaluate=null")
    assert outcome.status == 0
    assert outcome.results["test/bound"] is None
    checkpoint = torch.load(outcome.directory / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["vae_exp"]["samples_seen"] == 300
