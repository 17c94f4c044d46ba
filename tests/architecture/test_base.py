"""What every architecture has."""

import pytest
import torch

from vae_exp.architecture import AE, M2, VAE, Classifies, Generative
from vae_exp.dataset.serving import Counts
from vae_exp.errors import ConfigError
from vae_exp.likelihood import Bernoulli, Gaussian
from vae_exp.network import MLP, Conv
from vae_exp.objective import SGVBB

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


def m2(**arguments):
    return M2(SHAPE, 10, **({"objective": SGVBB(), "latent_dim": 3} | arguments))


@pytest.mark.parametrize("likelihood", [Bernoulli(), Gaussian(), Gaussian("shared"), Gaussian("fixed")])
@pytest.mark.parametrize("network", [NETWORK, Conv([2, 3], [1, 2], 4)])
@pytest.mark.parametrize("make", [ae, vae, lambda **k: vae(conditional=True, **k), m2])
def test_shapes(make, network, likelihood, batch):
    model = make(network=network, likelihood=likelihood)
    x, y = batch
    z = model.encode(x, y)
    p = model.decode(z, y)
    assert z.shape == (5, 3)
    assert (p.batch_shape, p.event_shape) == ((5,), SHAPE)
    assert model.decode(z.expand(7, 5, 3), y).batch_shape == (7, 5)
    terms = model.terms(x, y)
    assert {term.shape for term in terms.values()} == {(5,)}
    assert terms.keys() == model.weights(COUNTS).keys()


def test_unconditional_models_do_not_look_at_labels(batch):
    x, y = batch
    for model in (ae(), vae()):
        assert torch.equal(model.encode(x, y), model.encode(x, torch.full_like(y, -1)))
        assert torch.equal(model.encode(x, y), model.encode(x))


def test_what_has_no_meaning_is_refused():
    with pytest.raises(ConfigError, match=r"architecture\.conditional"):
        VAE(SHAPE, 0, NETWORK, Bernoulli(), SGVBB(), conditional=True)
    with pytest.raises(ConfigError, match=r"network\.tied=true"):
        vae(network=MLP([12], tied=True))
    assert not isinstance(ae(), Generative | Classifies)
