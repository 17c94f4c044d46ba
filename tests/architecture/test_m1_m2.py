import pytest
import torch
from guesses import share_of_wrong_guesses

from vae_exp import load_run


def weights(directory):
    checkpoint = torch.load(directory / "checkpoints" / "last.ckpt", weights_only=True)
    return {name: value for name, value in checkpoint["state_dict"].items() if isinstance(value, torch.Tensor)}


@pytest.mark.usefixtures("few_digits")
def test_m2_learns_on_the_latents_of_m1_which_stays_as_it_is(run):
    words = ["+experiment=mnist_m1_m2", "network.hidden_sizes=[20]", "samples=1000", "logger=none"]
    outcome = run(*words, "architecture.alpha=0.2", "callbacks.evaluate.decades=0.1", "dataset.batch_size=50")
    assert outcome.status == 0, outcome.err
    m1, both = weights(outcome.directory / "m1"), weights(outcome.directory / "m2")
    for name, value in m1.items():
        assert torch.equal(both[name.replace("architecture.", "architecture.m1.")], value)
    results = outcome.results
    assert results["architecture.alpha"] == 0.2  # of the second stage alone
    assert (results["stage"], results["train/labelled"], results["dataset.labels"]) == ("m2", 100, 100)
    assert results["test/error"] == pytest.approx(share_of_wrong_guesses(outcome.directory / "m2"))
    assert -700 < results["test/bound"] < -100
    assert (outcome.directory / "m2" / "figures" / "analogies.png").exists()
    model = load_run(outcome.directory).model
    x = torch.rand(4, 1, 28, 28)
    assert model.decode(model.encode(x), model.fill_labels(x, None)).mean.shape == x.shape
    assert model.sample(3).shape == (3, 1, 28, 28)
