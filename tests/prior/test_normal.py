import math

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from vae_exp.prior.normal import DiagonalNormal, kl_of_normals

B, D = 4, 3


@pytest.fixture
def both():
    torch.manual_seed(0)
    mean, log_variance = torch.randn(4, 3, dtype=torch.float64), torch.randn(4, 3, dtype=torch.float64)
    return DiagonalNormal(mean, log_variance), Independent(Normal(mean, torch.exp(0.5 * log_variance)), 1)


def test_it_is_torchs_normal(both):
    ours, theirs = both
    z = torch.randn(5, 4, 3, dtype=torch.float64)
    torch.testing.assert_close(ours.log_prob(z), theirs.log_prob(z))
    torch.testing.assert_close(ours.entropy(), theirs.entropy())
    assert (ours.batch_shape, ours.event_shape) == (theirs.batch_shape, theirs.event_shape)
    for name in ("mean", "stddev", "variance"):
        torch.testing.assert_close(getattr(ours, name), getattr(theirs, name))


@pytest.mark.parametrize("shape", [(), (2,)])
def test_it_draws_what_torchs_normal_draws(both, shape):
    draws = []
    for q in both:
        torch.manual_seed(1)
        draws.append((q.rsample(shape), q.sample(shape)))
    assert all(map(torch.equal, *draws))


def test_a_draw_knows_its_density(both):
    ours, theirs = both
    z, log_q = ours.rsample_and_log_prob((7,))
    torch.testing.assert_close(log_q, theirs.log_prob(z))


def test_a_narrow_one_has_its_density_also_where_a_draw_is_rounded_to_the_mean():
    q = DiagonalNormal(torch.full((50_000, 1), 100.0), torch.tensor(-200.0))
    z, log_q = q.rsample_and_log_prob()
    assert (z == 100).all()
    assert (log_q - 100 + 0.5 * math.log(2 * math.pi)).mean().item() == pytest.approx(-0.5, abs=0.02)
    assert q.entropy()[0].item() == pytest.approx(-100 + 0.5 * (1 + math.log(2 * math.pi)), rel=1e-6)


def test_numbers_that_are_none_are_refused():
    with pytest.raises(ValueError, match="log_variance"):
        DiagonalNormal(torch.zeros(2), torch.full((2,), math.nan))
    with pytest.raises(ValueError, match="support"):
        DiagonalNormal(torch.zeros(2), torch.zeros(2)).log_prob(torch.full((2,), math.nan))


def test_closed_kl_between_any_two_normals_is_torchs():
    torch.manual_seed(0)
    q, p = (Independent(Normal(torch.randn(B, D), torch.rand(B, D) + 0.2), 1) for _ in range(2))
    found = kl_of_normals(DiagonalNormal(q.mean, 2 * q.stddev.log()), p)
    torch.testing.assert_close(found, kl_divergence(q, p))


def test_closed_kl_is_exact_also_where_the_posterior_is_nearly_the_prior():
    log_variance = torch.tensor([[1e-3]])
    p = Independent(Normal(torch.zeros(1), torch.ones(1)), 1)
    kl = kl_of_normals(DiagonalNormal(torch.zeros(1, 1), log_variance), p)
    s = log_variance.double()
    torch.testing.assert_close(kl.double(), -0.5 * (1 + s - s.exp())[0], rtol=1e-3, atol=0)
