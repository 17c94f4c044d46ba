import pytest
import torch

from vae_exp.architecture import AE, VAE, Autoencoder, Classifier
from vae_exp.corruption import Masking
from vae_exp.dataset.serving import Counts
from vae_exp.errors import ConfigError
from vae_exp.likelihood import Bernoulli
from vae_exp.network import MLP
from vae_exp.objective import MCEM, SGVBB

SHAPE = (1, 8, 6)
COUNTS = Counts(images=100, labelled=100)
NETWORK = MLP([12], init_std=None)


@pytest.fixture
def batch():
    torch.manual_seed(0)
    return torch.rand(5, *SHAPE), torch.arange(5)


def vae(**arguments):
    parts = {"network": NETWORK, "likelihood": Bernoulli(), "objective": SGVBB(), "latent_dim": 3}
    return VAE(SHAPE, 10, **(parts | arguments))


def ae(**arguments):
    return AE(SHAPE, **({"network": NETWORK, "likelihood": Bernoulli(), "latent_dim": 3} | arguments))


def test_a_classifier_is_trained_on_labels_without_corruption_or_penalty(batch):
    x, y = batch
    network = MLP([], init_std=None, tied=True)
    model = Classifier(SHAPE, 10, ae(network=network, contraction=5.0, corruption=Masking(0.9)))
    log_p = torch.log_softmax(model.softmax(model.encode(x)), 1)
    torch.testing.assert_close(model.classify(x), log_p)
    terms = model.terms(x, y)
    assert set(terms) == set(model.weights(COUNTS)) == {"cross_entropy"}
    torch.testing.assert_close(terms["cross_entropy"], -log_p[range(5), y])
    terms["cross_entropy"].sum().backward()
    taught = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    # a tied decoder has the encoder's weights, and a bias of its own that no label teaches
    assert taught == {name for name, p in model.named_parameters() if p.requires_grad}
    assert taught == {f"encoder.{name}" for name, _ in model.encoder.named_parameters() if "decoder" not in name} | {
        "softmax.weight",
        "softmax.bias",
    }
    assert torch.equal(model.encode(x), model.autoencoder.encode(x))
    assert not isinstance(model, Autoencoder)


def test_it_learns_what_a_plane_separates():
    """Classes whose images are brighter in one of ten pixels: by chance nine of ten guesses are wrong."""
    torch.manual_seed(0)
    y = torch.arange(100) % 10
    x = 0.2 * torch.rand(100, *SHAPE)
    x.flatten(1)[range(100), y] += 0.8
    model = Classifier(SHAPE, 10, ae())
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    for _ in range(200):
        optimizer.zero_grad()
        model.terms(x, y)["cross_entropy"].mean().backward()
        optimizer.step()
    assert torch.equal(model.classify(x).argmax(1), y)


def test_a_vae_can_be_fine_tuned_too(batch):
    x, y = batch
    model = Classifier(SHAPE, 10, vae())
    model.terms(x, y)["cross_entropy"].sum().backward()
    assert {name.partition(".")[0] for name, p in model.encoder.named_parameters() if p.requires_grad} == {"encoder"}


def test_what_cannot_be_classified_is_refused():
    with pytest.raises(ConfigError, match=r"head=classifier: this dataset has no labels"):
        Classifier(SHAPE, 0, ae())
    for encoder in (vae(conditional=True), vae(objective=MCEM())):
        with pytest.raises(ConfigError, match="is not a function of the image alone"):
            Classifier(SHAPE, 10, encoder)
