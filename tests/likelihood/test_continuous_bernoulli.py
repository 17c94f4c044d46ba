import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import ContinuousBernoulli as OfPyTorch

from vae_exp.likelihood.continuous_bernoulli import ContinuousBernoulli
from vae_exp.results.metrics import read_metrics

GRID = torch.linspace(0, 1, 200_001, dtype=torch.float64).view(-1, 1, 1, 1)


def density(logit: float) -> torch.distributions.Distribution:
    return ContinuousBernoulli()(torch.full((1, 1, 1, 1), logit, dtype=torch.float64))


def integral(values: torch.Tensor) -> float:
    return torch.trapezoid(values.flatten(), GRID.flatten()).item()


@given(st.floats(-300, 300))
def test_it_integrates_to_one_and_has_its_mean(logit):
    p = density(logit).log_prob(GRID).exp()
    assert integral(p) == pytest.approx(1, abs=1e-5)
    assert integral(p * GRID.flatten()) == pytest.approx(density(logit).mean.item(), abs=1e-5)


@pytest.mark.parametrize("logit", [0.0, 1e-12, -1e-6, 1e-3, 0.49999, 0.50001, -0.5])
def test_around_one_half_value_mean_and_gradient_are_exact(logit):
    """Held against the closed form in 60 decimal digits."""
    from mpmath import coth, log, mp, mpf, sinh

    mp.dps = 60
    h = mpf(logit) / 2
    exact = {"log_sinhc": log(sinh(h) / h), "slope": coth(h) - 1 / h} if logit else {"log_sinhc": 0, "slope": 0}
    x = 0.3
    features = torch.full((1, 1, 1, 1), logit, dtype=torch.float64, requires_grad=True)
    p = ContinuousBernoulli()(features)
    value = p.log_prob(torch.full((1, 1, 1, 1), x, dtype=torch.float64))
    value.sum().backward()
    assert value.item() == pytest.approx(float(logit * (x - 0.5) - exact["log_sinhc"]), abs=1e-12)
    assert p.mean.item() == pytest.approx(float(0.5 + exact["slope"] / 2), abs=1e-12)
    assert features.grad.item() == pytest.approx(float(x - 0.5 - exact["slope"] / 2), abs=1e-12)


@pytest.mark.parametrize("logit", [-8.0, -1.0, 0.7, 5.0])
def test_it_is_pytorchs_where_that_is_accurate(logit):
    theirs, x = OfPyTorch(logits=torch.tensor(logit, dtype=torch.float64)), GRID[::1000]
    torch.testing.assert_close(density(logit).log_prob(x), theirs.log_prob(x.flatten()))


@pytest.mark.parametrize("logit", [-1e4, -90.0, 90.0, 1e4])
def test_values_and_gradients_are_finite_in_float32_at_any_logit(logit):
    features = torch.full((1, 1, 1, 1), logit, requires_grad=True)
    p = ContinuousBernoulli()(features)
    value = p.log_prob(torch.full((1, 1, 1, 1), 1.0 if logit > 0 else 0.0))
    value.sum().backward()
    assert value.item() == pytest.approx(math.log(abs(logit)), rel=1e-4)
    assert features.grad.item() == pytest.approx(1 / logit, rel=1e-2, abs=1e-6)
    assert 0 <= p.mean.item() <= 1


@pytest.mark.parametrize("logit", [-20.0, 0.0, 3.0])
def test_samples_have_the_mean_and_follow_the_logits(logit):
    torch.manual_seed(0)
    features = torch.full((1, 1, 1, 1), logit, dtype=torch.float64, requires_grad=True)
    p = ContinuousBernoulli()(features)
    x = p.rsample((40_000,))
    assert x.min() >= 0
    assert x.max() <= 1
    assert x.mean().item() == pytest.approx(p.mean.item(), abs=4 * x.std().item() / 200)
    (slope,) = torch.autograd.grad(x.mean(), features)
    step = 1e-4
    expected = (density(logit + step).mean - density(logit - step).mean).item() / (2 * step)
    assert slope.item() == pytest.approx(expected, rel=0.05, abs=1e-3 if logit else 0.1)


def test_pixels_outside_the_unit_interval_are_refused():
    with pytest.raises(ValueError, match="support"):
        density(1.0).log_prob(torch.full((1, 1, 1, 1), 1.01, dtype=torch.float64))


@pytest.mark.usefixtures("few_digits")
def test_a_model_learns_with_it_from_the_command_line(run):
    words = ["network.hidden_sizes=[20]", "logger=none", "callbacks.figures=null", "callbacks.evaluate.decades=2"]
    outcome = run("likelihood=continuous_bernoulli", "samples=4000", "optimizer=adam", "optimizer.lr=0.01", *words)
    assert outcome.status == 0, outcome.err
    first, *_, last = read_metrics(outcome.directory / "metrics.csv")
    assert last["test/bound"] > first["test/bound"] + 100
    assert last["test/bound"] > 300  # the uniform density has 0
    assert last["test/bits_per_dim"] < 8
    assert last["test/mean_abs_logit"] > 1
