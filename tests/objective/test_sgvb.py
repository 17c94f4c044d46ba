import math

import pytest
import torch
from torch.distributions import Independent, Normal

from vae_exp.architecture import VAE
from vae_exp.likelihood import Bernoulli
from vae_exp.network import MLP
from vae_exp.objective import IWAE, SGVBA, SGVBB, WakeSleep
from vae_exp.prior.normal import DiagonalNormal

B, D = 4, 3


@pytest.fixture
def problem():
    torch.manual_seed(0)
    mean, std = torch.randn(B, D, dtype=torch.float64), torch.rand(B, D, dtype=torch.float64) + 0.2
    q = DiagonalNormal(mean, 2 * std.log())
    p = Independent(Normal(torch.zeros(D, dtype=torch.float64), torch.ones(D, dtype=torch.float64)), 1)
    weight = torch.randn(D, 4, dtype=torch.float64)
    x = torch.rand(B, 1, 2, 2, dtype=torch.float64)
    return x, lambda _: q, p, lambda z: Bernoulli()((z @ weight).unflatten(-1, (1, 2, 2)))


def test_closed_kl_is_equation_10(problem):
    x, encode, p, decode = problem
    q = encode(x)
    mean, variance = q.mean, q.variance
    expected = -0.5 * (1 + variance.log() - mean.square() - variance).sum(1)
    torch.testing.assert_close(SGVBB()(x, encode, p, decode)["kl"], expected)


class Told(torch.nn.Module):
    """An encoder that says of every image what it was told: μ and log σ²."""

    def __init__(self, mean, log_variance):
        super().__init__()
        self.features = torch.nn.Parameter(torch.tensor([mean, log_variance]))

    def forward(self, x, c):
        return self.features.expand(len(x), -1)


def negative_log_likelihood(z):
    """A white pixel whose logit is z costs this."""
    return torch.nn.functional.softplus(-z)


def log_prior(z):
    return -0.5 * (z.square() + math.log(2 * math.pi))


def log_posterior(noise, log_variance):
    return -0.5 * (noise.square() + log_variance + math.log(2 * math.pi))


def in_float64(objective, mean, log_variance):
    """The loss by the equations, at the draws that the objective makes in float32 with the seed 1."""
    torch.manual_seed(1)
    noise = torch.randn(objective.samples, 1, 1).double()
    if isinstance(objective, WakeSleep):
        u = torch.randn(1, 1, 1).double() - mean
        z = (mean + torch.exp(0.5 * log_variance) * noise).detach()
        sleep = 0.5 * (u.square() * torch.exp(-log_variance) + log_variance + math.log(2 * math.pi))
        return (negative_log_likelihood(z) + sleep).sum()
    z = mean + torch.exp(0.5 * log_variance) * noise
    if isinstance(objective, SGVBB):
        kl = -0.5 * (1 + log_variance - mean.square() - log_variance.exp())
        return negative_log_likelihood(z).sum() + kl
    log_weights = -negative_log_likelihood(z) + log_prior(z) - log_posterior(noise, log_variance)
    if isinstance(objective, SGVBA):
        return -log_weights.sum()
    return math.log(objective.samples) - log_weights.logsumexp(0).sum()


@pytest.mark.parametrize("log_variance", range(-200, 81, 20))
@pytest.mark.parametrize("objective", [SGVBA(), SGVBB(), IWAE(3), WakeSleep()], ids=lambda o: type(o).__name__)
def test_loss_and_gradient_are_right_at_any_posterior_variance(objective, log_variance):
    """Those of float64, rounded to float32: infinite where that has no such number, and never NaN."""
    model = VAE((1, 1, 1), 0, MLP([]), Bernoulli(), objective, latent_dim=1)
    encoder = Told(0.7, float(log_variance))
    model.encoder.forward = encoder.forward
    model.decoder = torch.nn.Unflatten(1, (1, 1, 1))
    torch.manual_seed(1)
    loss = sum(term.sum() for term in model.terms(torch.ones(1, 1, 1, 1)).values())
    (gradient,) = torch.autograd.grad(loss, encoder.features)
    exact = torch.tensor([0.7, float(log_variance)], dtype=torch.float64, requires_grad=True)
    exact_loss = in_float64(objective, *exact)
    (exact_gradient,) = torch.autograd.grad(exact_loss, exact)
    torch.testing.assert_close(loss, exact_loss.float(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(gradient, exact_gradient.float(), rtol=1e-4, atol=1e-5)


def test_closed_kl_against_monte_carlo(problem):
    x, encode, p, decode = problem
    q = encode(x)
    z = q.sample((400_000,))
    draws = q.log_prob(z) - p.log_prob(z)
    error = draws.std(0) / len(z) ** 0.5
    assert ((SGVBB()(x, encode, p, decode)["kl"] - draws.mean(0)).abs() < 5 * error).all()


def test_estimators_a_and_b_agree_in_expectation(problem):
    a, b = SGVBA(samples=200_000)(*problem), SGVBB(samples=200_000)(*problem)
    assert a.keys() == b.keys() == {"nll", "kl"}
    for name in a:
        assert a[name].shape == (B,)
        torch.testing.assert_close(a[name], b[name], rtol=0.02, atol=0.02)


def test_more_samples_lower_the_variance_of_the_estimate(problem):
    def spread(samples):
        return torch.stack([SGVBA(samples)(*problem)["nll"] for _ in range(300)]).std(0).mean().item()

    assert spread(16) == pytest.approx(spread(1) / 4, rel=0.3)


@pytest.mark.parametrize("objective", [SGVBA, SGVBB])
def test_reparameterised_gradients_against_finite_differences(objective):
    """∂/∂(μ, log σ²) of the estimate, with the same noise on both sides."""
    torch.manual_seed(0)
    x = torch.rand(B, 1, 2, 2, dtype=torch.float64)
    weight = torch.randn(D, 4, dtype=torch.float64)
    zero, one = torch.zeros(D, dtype=torch.float64), torch.ones(D, dtype=torch.float64)

    def estimate(mean, log_variance):
        torch.manual_seed(1)
        q = DiagonalNormal(mean, log_variance)
        terms = objective(samples=2)(
            x,
            lambda _: q,
            Independent(Normal(zero, one), 1),
            lambda z: Bernoulli()((z @ weight).unflatten(-1, (1, 2, 2))),
        )
        return terms["nll"] + terms["kl"]

    statistics = [torch.randn(B, D, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    assert torch.autograd.gradcheck(estimate, statistics)


def test_evaluation_is_by_estimator_b_whatever_was_trained_on(problem):
    for objective in (SGVBA(3), IWAE(3), WakeSleep(3)):
        torch.manual_seed(1)
        expected = SGVBB(1)(*problem)
        torch.manual_seed(1)
        found = objective.bound(*problem)
        assert all(torch.equal(found[name], expected[name]) for name in expected)
