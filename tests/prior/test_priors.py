"""Every prior is a distribution: it integrates to one, and its draws have its density."""

import math
import sys

import pytest
import torch
from latents import PRIORS, SHAPE, prior
from torch.distributions import Normal

from vae_exp.posterior.diagonal import Diagonal
from vae_exp.prior.kl import draws_and_kl
from vae_exp.prior.mixture import Mixture, MixtureOf
from vae_exp.prior.normal import DiagonalNormal, is_normal
from vae_exp.prior.vamp import Vamp

MIXED = [(name, "diagonal") for name in PRIORS] + [("vamp", family) for family in ("full_covariance", "iaf", "spline")]


def grid(half=10.0, points=161):
    axis = torch.linspace(-half, half, points, dtype=torch.float64)
    return torch.cartesian_prod(axis, axis), (axis[1] - axis[0]).item() ** 2


@pytest.mark.parametrize(("name", "family"), MIXED)
@torch.no_grad()
def test_it_integrates_to_one_and_its_draws_have_its_moments(name, family):
    p = prior(name, 2, family)
    z, area = grid()
    density = p.log_prob(z).exp() * area
    assert density.sum().item() == pytest.approx(1, abs=2e-3)
    draws = p.sample((20_000,))
    mean = (density[:, None] * z).sum(0)
    std = ((density[:, None] * z.square()).sum(0) - mean.square()).sqrt()
    torch.testing.assert_close(draws.mean(0), mean, atol=5 * std.max().item() / 20_000**0.5, rtol=0)
    torch.testing.assert_close(draws.std(0), std, rtol=0.06, atol=0)
    assert p.sample((3, 2)).shape == (3, 2, 2)
    assert p.sample().shape == (2,)


@pytest.mark.parametrize("name", PRIORS)
@torch.no_grad()
def test_one_latent_is_enough(name):
    p = prior(name, 1)
    z = torch.linspace(-15, 15, 6001, dtype=torch.float64)[:, None]
    assert (p.log_prob(z).exp().sum() * 0.005).item() == pytest.approx(1, abs=2e-3)
    assert p.sample((4,)).shape == (4, 1)


@pytest.mark.parametrize("name", PRIORS)
def test_the_kl_is_that_of_the_integral(name):
    p = prior(name, 2)
    q = DiagonalNormal(torch.tensor([[0.4, -0.3]]).double(), torch.tensor([[-1.0, -2.0]]).double())
    z, area = grid(6.0)
    log_q = q.log_prob(z)
    with torch.no_grad():
        exact = (log_q.exp() * (log_q - p.log_prob(z))).sum() * area
        torch.manual_seed(0)
        draws, kl = draws_and_kl(q, p, 20_000)
        terms = q.log_prob(draws) - p.log_prob(draws)
    assert draws.shape == (20_000, 1, 2)
    assert kl.item() == pytest.approx(exact.item(), abs=5 * terms.std().item() / 20_000**0.5)
    assert (q.closed_kl(p) is None) == (name != "standard")
    assert is_normal(p) == (name == "standard")


def test_every_parameter_of_a_prior_is_trained():
    for name in PRIORS.keys() - {"standard"}:
        torch.manual_seed(0)
        module = PRIORS[name](2, SHAPE)
        encode = Diagonal(2)
        p = module(lambda x, encode=encode: encode(x.flatten(1)))
        p.log_prob(torch.randn(50, 2)).sum().backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters()), name


def test_a_mixture_is_the_sum_of_its_components():
    module = Mixture(3, SHAPE, components=4).double()
    with torch.no_grad():
        module.logits.copy_(torch.tensor([0.1, 1.0, -2.0, 0.3]))
    p, z = module(None), torch.randn(6, 3, dtype=torch.float64)
    weights = module.logits.softmax(0)
    densities = [
        DiagonalNormal(module.loc()[k], module.log_variance()[k]).log_prob(z).exp() * weights[k] for k in range(4)
    ]
    torch.testing.assert_close(p.log_prob(z), sum(densities).log())


def test_draws_come_from_the_components_in_their_proportions():
    far = DiagonalNormal(torch.tensor([[-50.0], [0.0], [50.0]]), torch.zeros(3, 1))
    p = MixtureOf(torch.tensor([0.2, 0.0, 0.8]).log(), far)
    z = p.sample((10_000,))
    assert (z < -25).float().mean().item() == pytest.approx(0.2, abs=0.02)
    assert not ((z > -25) & (z < 25)).any()
    left = z[z < -25] + 50
    assert left.std().item() == pytest.approx(1, abs=0.1)
    neighbours = (z[1:] < 0) != (z[:-1] < 0)
    assert neighbours.float().mean().item() == pytest.approx(0.32, abs=0.03)  # no order among the draws


def test_a_vampprior_begins_at_its_images_once():
    prior = Vamp(2, SHAPE, components=3)
    x = torch.rand(3, *SHAPE)
    assert prior.wanted_images == 3
    prior.begin(x)
    assert torch.equal(prior.pseudo_inputs(), x)
    again = Vamp(2, SHAPE, components=3)
    again.load_state_dict(prior.state_dict())
    assert again.wanted_images == 0
    assert Vamp(2, SHAPE, components=3, begin_at="random").wanted_images == 0


def test_a_vampprior_is_the_mixture_of_the_posteriors_at_its_pseudo_inputs():
    module = Vamp(2, SHAPE, components=3)
    q = Diagonal(2)(module.pseudo_inputs().flatten(1))
    z = torch.randn(5, 2)
    expected = q.log_prob(z[:, None]).logsumexp(1) - math.log(3)
    torch.testing.assert_close(module(lambda x: Diagonal(2)(x.flatten(1))).log_prob(z), expected)


def test_distributions_still_check_their_arguments():
    assert "zuko" in sys.modules
    with pytest.raises(ValueError, match="loc"):
        Normal(torch.tensor(math.nan), 1.0)


@pytest.mark.parametrize("latent_dim", [1, 3])
@pytest.mark.parametrize("name", ["maf", "nsf", "realnvp"])
def test_a_flow_begins_near_the_standard_normal(name, latent_dim):
    torch.manual_seed(0)
    z = torch.randn(100, latent_dim)
    expected = DiagonalNormal(torch.zeros(latent_dim), torch.zeros(latent_dim)).log_prob(z)
    torch.testing.assert_close(PRIORS[name](latent_dim, SHAPE)(None).log_prob(z), expected, atol=0.15, rtol=0)
