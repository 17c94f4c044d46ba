from copy import deepcopy

import pytest
import torch

from vae_exp.architecture import AE, M2, VAE, Autoencoder, Classifier, Classifies, Generative, Stacked
from vae_exp.corruption import Masking
from vae_exp.dataset.serving import Counts, Serving
from vae_exp.errors import ConfigError, UserError
from vae_exp.likelihood import Bernoulli, Gaussian
from vae_exp.network import MLP, Conv
from vae_exp.objective import MCEM, SGVBA, SGVBB

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


def test_only_monte_carlo_em_has_no_encoder_and_an_e_step():
    em, amortized = vae(objective=MCEM(online=True)), vae()
    assert (em.amortized, amortized.amortized) == (False, True)
    assert not any(name.startswith("encoder.") for name in em.state_dict())
    assert amortized.e_step is None
    assert em.serving == Serving(repeats=15)
    with pytest.raises(UserError, match="no filters"):
        em.filters()


def test_a_copy_without_an_encoder_uses_its_own_weights(monkeypatch, batch):
    monkeypatch.setattr("vae_exp.posterior.hmc.DRAWS", 100)
    model = vae(objective=MCEM()).eval()
    copy = deepcopy(model)
    for parameter in model.parameters():
        parameter.data.fill_(torch.nan)
    assert copy.encode(batch[0]).isfinite().all()
    copy.e_step.begin(5)
    assert copy.e_step._model is copy
    assert len(copy.objective.z[0]) == 5
    assert not len(model.objective.z)


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


def test_beta_weighs_the_loss_and_leaves_the_terms_and_the_bound_alone(batch):
    x, _ = batch
    model = vae(beta=4.0)
    assert model.weights(COUNTS) == {"nll": 1.0, "kl": 4.0}
    torch.manual_seed(1)
    terms = model.terms(x)
    torch.manual_seed(1)
    torch.testing.assert_close(model.bound(x), -(terms["nll"] + terms["kl"]))


def test_bound_of_a_linear_gaussian_model_lies_below_its_log_likelihood():
    """p(x|z) = N(sigmoid(b), I) does not see z; with q = p the bound is log p(x) exactly, else below it."""
    model = VAE(SHAPE, 0, MLP([], init_std=0.01), Gaussian("fixed", std=1.0), SGVBA(samples=500), latent_dim=2)
    x = torch.rand(3, *SHAPE)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        exact = model.decode(torch.zeros(3, 2)).log_prob(x)
        torch.testing.assert_close(model.bound(x), exact, rtol=0, atol=0.05)
        model.encoder.linears[0].bias += 1.0  # μ = 1, σ² = e: KL > 0
        assert (model.bound(x) < exact - 1).all()


def test_labels_reach_encoder_and_decoder(batch):
    x, y = batch
    model = vae(conditional=True)
    z = model.encode(x, y)
    assert not torch.allclose(z, model.encode(x, (y + 1) % 10))
    assert not torch.allclose(model.decode(z, y).mean, model.decode(z, (y + 1) % 10).mean)
    with pytest.raises(UserError, match="labels"):
        model.encode(x)


def test_unconditional_models_do_not_look_at_labels(batch):
    x, y = batch
    for model in (ae(), vae()):
        assert torch.equal(model.encode(x, y), model.encode(x, torch.full_like(y, -1)))
        assert torch.equal(model.encode(x, y), model.encode(x))


def test_sample_draws_from_the_prior_through_the_decoder():
    model = vae()
    torch.manual_seed(0)
    images = model.sample(6)
    torch.manual_seed(0)
    z = torch.randn(6, 3)
    torch.testing.assert_close(images, model.decode(z).mean)
    assert vae(conditional=True).sample(6).shape == (6, *SHAPE)


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


def test_the_layers_of_a_stacked_autoencoder_are_all_trained_by_its_classifier(batch):
    model = Classifier(SHAPE, 10, Stacked(SHAPE, Bernoulli(), sizes=[5, 4], depth=2))
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert frozen == {"encoder.stack.0.bias", "encoder.stack.1.bias"}  # of the way back
    assert not [p for p in model.parameters() if p.grad is not None]


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


def test_what_has_no_meaning_is_refused():
    with pytest.raises(ConfigError, match=r"architecture\.conditional"):
        VAE(SHAPE, 0, NETWORK, Bernoulli(), SGVBB(), conditional=True)
    with pytest.raises(ConfigError, match=r"network\.tied=true"):
        vae(network=MLP([12], tied=True))
    assert not isinstance(ae(), Generative | Classifies)
