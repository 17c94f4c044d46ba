import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from vae_exp.likelihood import Bernoulli
from vae_exp.objective import SGVBA, SGVBB, kl_of_normals

B, D = 4, 3


@pytest.fixture
def problem():
    torch.manual_seed(0)
    mean, std = torch.randn(B, D, dtype=torch.float64), torch.rand(B, D, dtype=torch.float64) + 0.2
    q = Independent(Normal(mean, std), 1)
    p = Independent(Normal(torch.zeros(D, dtype=torch.float64), torch.ones(D, dtype=torch.float64)), 1)
    weight = torch.randn(D, 4, dtype=torch.float64)
    x = torch.rand(B, 1, 2, 2, dtype=torch.float64)
    return x, q, p, lambda z: Bernoulli()((z @ weight).unflatten(-1, (1, 2, 2)))


def test_closed_kl_is_equation_10(problem):
    x, q, p, decode = problem
    mean, variance = q.mean, q.variance
    expected = -0.5 * (1 + variance.log() - mean.square() - variance).sum(1)
    torch.testing.assert_close(SGVBB()(x, q, p, decode)["kl"], expected)


def test_closed_kl_between_any_two_normals_is_torchs():
    torch.manual_seed(0)
    q, p = (Independent(Normal(torch.randn(B, D), torch.rand(B, D) + 0.2), 1) for _ in range(2))
    torch.testing.assert_close(kl_of_normals(q, p), kl_divergence(q, p))


def test_closed_kl_of_a_very_narrow_posterior_is_finite():
    log_variance = torch.tensor([[-110.0]], requires_grad=True)
    q = Independent(Normal(torch.zeros(1, 1), torch.exp(0.5 * log_variance)), 1)
    p = Independent(Normal(torch.zeros(1), torch.ones(1)), 1)
    kl = kl_of_normals(q, p)
    kl.sum().backward()
    assert kl.item() == pytest.approx(0.5 * 109)
    assert log_variance.grad.item() == pytest.approx(-0.5)


def test_closed_kl_against_monte_carlo(problem):
    x, q, p, decode = problem
    z = q.sample((400_000,))
    draws = q.log_prob(z) - p.log_prob(z)
    error = draws.std(0) / len(z) ** 0.5
    assert ((SGVBB()(x, q, p, decode)["kl"] - draws.mean(0)).abs() < 5 * error).all()


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
        q = Independent(Normal(mean, torch.exp(0.5 * log_variance)), 1)
        terms = objective(samples=2)(
            x, q, Independent(Normal(zero, one), 1), lambda z: Bernoulli()((z @ weight).unflatten(-1, (1, 2, 2)))
        )
        return terms["nll"] + terms["kl"]

    statistics = [torch.randn(B, D, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    assert torch.autograd.gradcheck(estimate, statistics)
