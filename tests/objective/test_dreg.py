"""The doubly reparameterised gradient, on a model whose images are independent copies of one."""

import pytest
import torch
from torch.distributions import Independent, Normal

from vae_exp.objective import IWAE, DReG
from vae_exp.posterior.full_covariance import CorrelatedNormal
from vae_exp.prior.normal import DiagonalNormal

COPIES, D, K = 20_000, 2, 8


@pytest.fixture(params=["diagonal", "full_covariance"])
def problem(request, exactly):
    loc = torch.tensor([0.3, -0.2]).repeat(COPIES, 1).requires_grad_()
    log_variance = torch.tensor([-1.0, 0.2]).repeat(COPIES, 1).requires_grad_()
    entry = torch.full((COPIES,), 0.6, requires_grad=True)
    weight = torch.tensor([[1.0, 0.5, -0.3], [0.2, -1.0, 0.8]], requires_grad=True)
    x = torch.tensor([0.9, -0.4, 0.1]).repeat(COPIES, 1)
    p = Independent(Normal(torch.zeros(D), torch.ones(D)), 1)
    correlated = request.param == "full_covariance"
    inputs = (loc, log_variance, entry) if correlated else (loc, log_variance)

    def encode(_):
        below = entry[:, None, None] * torch.tensor([[0.0, 0.0], [1.0, 0.0]])
        return CorrelatedNormal(loc, log_variance, below) if correlated else DiagonalNormal(loc, log_variance)

    parts = x, encode, p, lambda z: Independent(Normal(z @ weight, 0.7), 1)
    return parts, inputs, weight


def gradients(objective, parts, inputs, seed):
    torch.manual_seed(seed)
    value = objective(*parts)["iwae"]
    return value.detach(), torch.autograd.grad(value.sum(), inputs)


def test_the_bound_and_the_decoders_gradient_are_those_of_iwae(problem):
    parts, _, weight = problem
    (value, (found,)), (same, (expected,)) = (gradients(of(K), parts, [weight], 1) for of in (DReG, IWAE))
    torch.testing.assert_close(value, same)
    torch.testing.assert_close(found, expected)


def test_the_encoders_gradient_has_the_mean_of_the_derivative_of_the_bound_and_less_variance(problem):
    parts, inputs, _ = problem
    found, expected = (gradients(of(K), parts, inputs, seed)[1] for seed, of in enumerate((DReG, IWAE)))
    signals = []
    for one, other in zip(found, expected, strict=True):
        noise = ((one.var(0) + other.var(0)) / COPIES).sqrt()
        assert ((one.mean(0) - other.mean(0)).abs() < 4 * noise).all()
        signals.append((other.mean(0).abs() > 8 * noise).any())
        assert (one.var(0) < 0.5 * other.var(0)).all()
    assert any(signals)  # the gradient is not all noise
