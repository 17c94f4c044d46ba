import math

import pytest
import torch
from torch.distributions import Independent, Normal

from vae_exp.objective import SGVBA, BetaTC
from vae_exp.posterior.full_covariance import CorrelatedNormal
from vae_exp.prior.normal import DiagonalNormal


@pytest.fixture
def terms(exactly):
    """A function: the terms of posteriors with these means and this variance, for an image of one pixel each."""

    def compute(loc, variance, objective):
        q = DiagonalNormal(loc, torch.full_like(loc, math.log(variance)))
        p = Independent(Normal(torch.zeros(loc.shape[1]), torch.ones(loc.shape[1])), 1)
        torch.manual_seed(1)
        return objective(torch.zeros(len(loc), 1), lambda _: q, p, lambda z: Independent(Normal(z[..., :1], 1.0), 1))

    return compute


def test_the_three_terms_are_the_kl_of_estimator_a(terms):
    loc = torch.randn(50, 3)
    split, whole = terms(loc, 0.3, BetaTC()), terms(loc, 0.3, SGVBA())
    kl = split["mutual_information"] + split["total_correlation"] + split["dimension_kl"]
    torch.testing.assert_close(kl, whole["kl"])
    torch.testing.assert_close(split["nll"], whole["nll"])


def test_codes_that_say_nothing_cost_nothing(terms):
    split = terms(torch.zeros(20, 3), 1.0, BetaTC())
    for name in ("mutual_information", "total_correlation", "dimension_kl"):
        assert split[name].abs().max() < 1e-9


def test_the_total_correlation_of_a_normal_is_known(terms):
    """The means are draws of a normal with correlation ρ = 0.8, and the posteriors add the variance v = 0.5."""
    z = torch.randn(2000, 2)
    loc = torch.stack([z[:, 0], 0.8 * z[:, 0] + 0.6 * z[:, 1]], 1)
    split = terms(loc, 0.5, BetaTC())
    correlation = 0.8 / 1.5
    found = split["total_correlation"]
    error = found.std() / len(found) ** 0.5
    assert found.mean().item() == pytest.approx(-0.5 * math.log(1 - correlation**2), abs=4 * error.item())
    assert split["mutual_information"].mean().item() == pytest.approx(
        0.5 * math.log((1.5**2 - 0.8**2) / 0.5**2), abs=0.1
    )


def test_the_correlation_within_a_posterior_counts(exactly):
    """All images have the posterior N(0, Σ) with variances 1 and correlation ρ = 0.6."""
    torch.manual_seed(0)
    zeros, below = torch.zeros(2000, 2), torch.tensor([[0.0, 0.0], [0.6, 0.0]]).expand(2000, 2, 2)
    q = CorrelatedNormal(zeros, torch.tensor([1.0, 1 - 0.6**2]).log().expand(2000, 2), below)
    p = Independent(Normal(torch.zeros(2), torch.ones(2)), 1)
    split = BetaTC()(zeros, lambda _: q, p, lambda z: Independent(Normal(z, 1.0), 1))
    expected = -0.5 * math.log(1 - 0.6**2)
    found = split["total_correlation"]
    assert found.mean().item() == pytest.approx(expected, abs=4 * (found.std() / len(found) ** 0.5).item())
    assert split["mutual_information"].abs().max() < 1e-9


def test_only_the_total_correlation_has_a_weight():
    assert BetaTC(4.0).weights == {"total_correlation": 4.0}
