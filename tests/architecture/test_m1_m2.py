import pytest
import torch
from guesses import share_of_wrong_guesses

from vae_exp import load_run
from vae_exp.architecture import M1M2
from vae_exp.likelihood import Bernoulli
from vae_exp.network import MLP
from vae_exp.objective import SGVBB


def weights(directory):
    checkpoint = torch.load(directory / "checkpoints" / "last.ckpt", weights_only=True)
    return {name: value for name, value in checkpoint["state_dict"].items() if isinstance(value, torch.Tensor)}


@pytest.mark.usefixtures("few_digits")
def test_m2_learns_on_the_latents_of_m1_which_stays_as_it_is(run):
    words = ["+experiment=mnist_m1_m2", "network.hidden_sizes=[20]", "samples=1000", "logger=none"]
    words += ["dataset.binarization=threshold"]  # the same images in both evaluations
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


def test_m2_may_have_layers_of_its_own():
    parts = {"network": MLP([7], "relu"), "likelihood": Bernoulli(), "objective": SGVBB()}
    model = M1M2((1, 2, 2), 3, **parts, latent_dim=2, features=4, hidden_sizes=[6, 5])
    assert model.m1.encoder.linears[0].weight.shape == (7, 4)
    for encoder in (model.m2.classifier, model.m2.encoder):
        assert [len(linear.weight) for linear in encoder.linears[:-1]] == [6, 5]
    assert model.m2.decoder.layers[0].weight.shape == (5, 2 + 3)
    assert isinstance(model.m2.decoder.layers[1], torch.nn.ReLU)
