import pytest
import torch

from vae_exp.architecture import AE
from vae_exp.corruption import Masking
from vae_exp.dataset.serving import Counts
from vae_exp.likelihood import Bernoulli
from vae_exp.network import MLP

SHAPE = (1, 8, 6)
COUNTS = Counts(images=100, labelled=100)
NETWORK = MLP([12], init_std=None)


@pytest.fixture
def batch():
    torch.manual_seed(0)
    return torch.rand(5, *SHAPE), torch.arange(5)


def ae(**arguments):
    return AE(SHAPE, **({"network": NETWORK, "likelihood": Bernoulli(), "latent_dim": 3} | arguments))


def test_ae_reconstruction_is_the_negative_log_likelihood(batch):
    model = ae()
    x, _ = batch
    torch.testing.assert_close(model.terms(x)["nll"], -model.decode(model.encode(x)).log_prob(x))


def test_corruption_acts_in_training_only_and_the_target_stays_clean(batch):
    x, _ = batch
    model = ae(corruption=Masking(0.5))
    torch.manual_seed(1)
    terms = model.terms(x)
    torch.manual_seed(1)
    corrupted = model.corrupt(x)
    assert (corrupted == 0).float().mean() > 0.3
    torch.testing.assert_close(terms["nll"], -model.decode(model.encode(corrupted)).log_prob(x))
    torch.testing.assert_close(model.evaluate_terms(x)["nll"], -model.decode(model.encode(x)).log_prob(x))


def test_contraction_is_a_raw_term_weighted_by_lambda(batch):
    x, _ = batch
    model = ae(contraction=0.25, latent_activation="sigmoid")
    assert model.weights(COUNTS) == {"nll": 1.0, "contraction": 0.25}
    expected = torch.autograd.functional.jacobian(lambda x: model.encode(x).sum(0), x).square().sum((0, 2, 3, 4))
    torch.testing.assert_close(model.terms(x)["contraction"], expected)
    assert "contraction" not in ae().terms(x)


def curved(**arguments):
    """A small AE whose code is not linear, in float64."""
    torch.manual_seed(0)
    return ae(network=MLP([], init_std=None), latent_activation="sigmoid", **arguments).double()


def squared_derivatives(f, x):
    """‖∂f/∂x‖² and ‖∂²f/∂x²‖² of each image, (B,), by torch's own derivatives."""
    first = torch.func.vmap(torch.func.jacrev(f))(x)
    second = torch.func.vmap(torch.func.jacrev(torch.func.jacrev(f)))(x)
    return first.square().flatten(1).sum(1), second.square().flatten(1).sum(1)


@pytest.mark.parametrize("name", ["stochastic_contraction", "higher_order_contraction"])
def test_sampled_contractions_are_raw_terms_with_weights_of_their_own(name, batch):
    x, _ = batch
    model = ae(contraction=0.25, **{name: 0.5})
    assert model.weights(COUNTS) == {"nll": 1.0, "contraction": 0.25, name: 0.5}
    other = ae(**{name: 2.0})
    other.load_state_dict(model.state_dict())
    torch.manual_seed(1)
    term = model.terms(x)[name]
    torch.manual_seed(1)
    torch.testing.assert_close(other.terms(x)[name], term)
    assert name not in ae(contraction=0.25).terms(x)


@pytest.mark.parametrize("std", [1e-3, 1e-4])
def test_a_small_neighbourhood_gives_the_squared_derivatives(std, batch):
    """E‖f(x) − f(x + ε)‖² → σ²‖J‖² and E‖J(x) − J(x + ε)‖² → σ²‖H‖², by 20,000 draws each."""
    x = batch[0][:2].double()
    weights = {"stochastic_contraction": 1.0, "higher_order_contraction": 1.0}
    model = curved(contraction_std=std, contraction_samples=20_000, **weights)
    first, second = squared_derivatives(lambda image: model.encode(image[None])[0], x)
    terms = model.terms(x)
    torch.testing.assert_close(terms["stochastic_contraction"] / std**2, first, rtol=0.02, atol=0)
    torch.testing.assert_close(terms["higher_order_contraction"] / std**2, second, rtol=0.02, atol=0)


def test_a_linear_code_changes_by_its_weights_and_its_jacobian_not_at_all():
    """f(x) = Wx: E‖Wε‖² = σ²‖W‖² for every σ."""
    torch.manual_seed(0)
    weights = {"stochastic_contraction": 1.0, "higher_order_contraction": 1.0}
    model = ae(network=MLP([]), contraction_std=0.7, contraction_samples=20_000, **weights).double()
    terms = model.terms(torch.rand(2, *SHAPE, dtype=torch.float64))
    expected = 0.7**2 * model.encoder.linears[0].weight.square().sum()
    torch.testing.assert_close(terms["stochastic_contraction"], expected.expand(2), rtol=0.03, atol=0)
    assert not terms["higher_order_contraction"].any()


def test_sampled_contractions_lie_around_the_clean_image(batch):
    x, _ = batch
    weights = {"stochastic_contraction": 1.0, "higher_order_contraction": 1.0}
    terms = ae(corruption=Masking(0.9), contraction_std=1e-5, **weights).train().terms(x)
    assert terms["stochastic_contraction"].max() < 1e-6
    assert terms["higher_order_contraction"].max() < 1e-6
