from copy import deepcopy

import pytest
import torch

from vae_exp.architecture import VAE
from vae_exp.dataset.serving import Counts, Serving
from vae_exp.errors import UserError
from vae_exp.likelihood import Bernoulli, Gaussian
from vae_exp.network import MLP
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


def test_only_monte_carlo_em_has_no_encoder_and_an_e_step():
    em, amortized = vae(objective=MCEM(online=True)), vae()
    assert (em.amortized, amortized.amortized) == (False, True)
    assert not any(name.startswith("encoder.") for name in em.state_dict())
    assert amortized.e_step is None
    assert em.serving == Serving(repeats=15)
    with pytest.raises(UserError, match="no filters"):
        em.filters()


def test_a_copy_without_an_encoder_uses_its_own_weights(batch):
    model = vae(objective=MCEM()).eval()
    copy = deepcopy(model)
    for parameter in model.parameters():
        parameter.data.fill_(torch.nan)
    assert copy.encode(batch[0]).isfinite().all()
    copy.e_step.begin(5)
    copy.e_step(*batch, torch.arange(5))
    assert len(copy.objective.z[0]) == 5
    assert copy.objective.z.isfinite().all()
    assert not len(model.objective.z)


def test_sample_draws_from_the_prior_through_the_decoder():
    model = vae()
    torch.manual_seed(0)
    images = model.sample(6)
    torch.manual_seed(0)
    z = torch.randn(6, 3)
    torch.testing.assert_close(images, model.decode(z).mean)
    assert vae(conditional=True).sample(6).shape == (6, *SHAPE)


def test_free_bits_change_the_loss_and_leave_the_kl_and_the_bound_alone(batch):
    x, _ = batch
    plain, free = vae(), vae(free_bits=0.5, beta={"warmup": 100, "final": 2.0})
    free.load_state_dict(plain.state_dict())
    assert free.weights(COUNTS) == {"nll": 1.0, "kl": 0.0, "kl_free_bits": 2.0}
    assert list(free.annealing) == ["kl_free_bits"]
    found = []
    for model in (plain, free):
        torch.manual_seed(1)
        found.append(model.terms(x))
    assert torch.equal(found[0]["kl"], found[1]["kl"])
    assert torch.equal(found[0]["nll"], found[1]["nll"])
    assert found[1]["kl_free_bits"].mean() >= 3 * 0.5
    with pytest.raises(UserError, match=r"architecture.free_bits=0.5: needs the KL of every latent in closed form"):
        vae(free_bits=0.5, objective=SGVBA())
