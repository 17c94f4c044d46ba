"""Sticking the landing, on models whose posterior is a normal."""

import torch
from torch.distributions import Independent, Normal

from vae_exp.objective import SGVBA, STL
from vae_exp.posterior.full_covariance import CorrelatedNormal
from vae_exp.prior.normal import DiagonalNormal

COPIES = 20_000
P = Independent(Normal(torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64)), 1)
SCALES, NOISE = torch.tensor([1.0, -0.5], dtype=torch.float64), 0.7
X = torch.tensor([0.9, -0.4], dtype=torch.float64).repeat(COPIES, 1)
PRECISION = 1 + SCALES**2 / NOISE**2
"""x_d = w_d z_d + noise: p(z|x) has these precisions and the means w x / σ² / precision."""


def gradients(objective, shift):
    """The gradient of the loss in the mean and in log σ² of q(z|x), which is p(z|x) but for a shift of the mean."""
    loc = (X * SCALES / NOISE**2 / PRECISION + shift).requires_grad_()
    log_variance = (-PRECISION.log()).repeat(COPIES, 1).requires_grad_()
    terms = objective(
        X, lambda _: DiagonalNormal(loc, log_variance), P, lambda z: Independent(Normal(z * SCALES, 0.7), 1)
    )
    return torch.autograd.grad(sum(terms.values()).sum(), (loc, log_variance))


def test_at_the_true_posterior_every_draw_has_the_gradient_zero():
    torch.manual_seed(0)
    assert all(gradient.abs().max() < 1e-9 for gradient in gradients(STL(), 0.0))
    assert all(gradient.abs().max() > 0.1 for gradient in gradients(SGVBA(), 0.0))


def test_at_a_true_posterior_with_a_full_covariance_every_draw_has_the_gradient_zero(exactly):
    torch.manual_seed(0)
    mixed, x = torch.tensor([[1.0, 0.4], [-0.3, 0.8]]), X[:1000]
    precision = torch.eye(2) + mixed @ mixed.T / NOISE**2
    tril = torch.linalg.cholesky(precision.inverse())
    s, below = 2 * tril.diagonal().log(), tril.tril(-1)
    inputs = [x @ mixed.T / NOISE**2 @ precision.inverse(), s.repeat(len(x), 1), below.repeat(len(x), 1, 1)]
    for value in inputs:
        value.requires_grad_()
    for objective, is_zero in ((STL(), True), (SGVBA(), False)):
        terms = objective(x, lambda _: CorrelatedNormal(*inputs), P, lambda z: Independent(Normal(z @ mixed, NOISE), 1))
        gradients = torch.autograd.grad(sum(terms.values()).sum(), inputs)
        assert all((gradient.abs().max() < 1e-9) == is_zero for gradient in gradients)


def test_elsewhere_its_gradient_has_the_mean_of_estimator_a():
    torch.manual_seed(0)
    for one, other in zip(gradients(STL(2), 0.5), gradients(SGVBA(2), 0.5), strict=True):
        noise = ((one.var(0) + other.var(0)) / COPIES).sqrt()
        assert ((one.mean(0) - other.mean(0)).abs() < 4 * noise).all()
