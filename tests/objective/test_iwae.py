import math

import pytest
import torch
from torch.distributions import Independent, MultivariateNormal, Normal

from vae_exp.likelihood import Bernoulli
from vae_exp.objective import IWAE, SGVBA
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


def test_one_importance_sample_is_estimator_a(problem):
    torch.manual_seed(1)
    a = SGVBA()(*problem)
    torch.manual_seed(1)
    torch.testing.assert_close(IWAE(1)(*problem)["iwae"], a["nll"] + a["kl"])


def test_importance_weighted_bound_rises_to_the_exact_evidence():
    """x = z·w + noise: log p(x) is that of a normal."""
    torch.manual_seed(0)
    w, noise = torch.randn(D, 4, dtype=torch.float64), 0.7
    p = Independent(Normal(torch.zeros(D, dtype=torch.float64), torch.ones(D, dtype=torch.float64)), 1)
    x = torch.randn(B, 4, dtype=torch.float64)
    q = DiagonalNormal(torch.zeros(B, D, dtype=torch.float64), torch.tensor(2 * math.log(0.8)))
    exact = MultivariateNormal(torch.zeros(4, dtype=torch.float64), w.T @ w + noise**2 * torch.eye(4)).log_prob(x)

    def bound(k):
        return -IWAE(k)(x, lambda _: q, p, lambda z: Independent(Normal(z @ w, noise), 1))["iwae"]

    few, many = torch.stack([bound(2) for _ in range(2000)]).mean(0), bound(300_000)
    assert (few < many).all()
    torch.testing.assert_close(many, exact, atol=0.05, rtol=0)
