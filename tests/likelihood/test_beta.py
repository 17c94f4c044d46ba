import math

import numpy as np
import pytest
import scipy.stats
import torch

from vae_exp.likelihood.beta import HALF_LEVEL, Beta

PARAMETERS = [(0.0, 0.0), (-0.5, 2.0), (1.5, 4.0), (2.25, 2.35), (-0.7, -0.7), (9.0, 3.0), (9.0, 20.0)]


def features(first, second, dtype=torch.float64):
    return torch.tensor([first, second], dtype=dtype).view(1, 2, 1, 1)


def concentrations(first, second, limit=1250.0):
    return [1 / (math.exp(-feature) + 1 / limit) for feature in (first, second)]


@pytest.mark.parametrize("parameters", PARAMETERS)
def test_it_is_scipys_at_the_centre_of_the_cell(parameters):
    x = torch.arange(256, dtype=torch.float64) / 255
    a, b = concentrations(*parameters)
    expected = scipy.stats.beta.logpdf((255 * x.numpy() + 0.5) / 256, a, b) + math.log(255 / 256)
    found = Beta()(features(*parameters)).log_prob(x.view(-1, 1, 1, 1))
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-8)


@pytest.mark.parametrize("parameters", PARAMETERS)
def test_it_integrates_to_one_and_has_its_mean(parameters):
    p = Beta()(features(*parameters))
    t = torch.linspace(-30, 30, 100_001, dtype=torch.float64)  # u = sigmoid(t): steep ends need close points
    u = torch.sigmoid(t)
    x = (256 * u - 0.5) / 255
    weights = p.log_prob(x.view(-1, 1, 1, 1)).exp() * u * (1 - u) * 256 / 255
    assert torch.trapezoid(weights, t).item() == pytest.approx(1, abs=1e-3)
    assert torch.trapezoid(weights * x, t).item() == pytest.approx(p.mean.item(), abs=1e-3)


@pytest.mark.parametrize("parameters", [(0.0, 0.0), (90.0, -90.0), (-200.0, -200.0), (200.0, 200.0), (2.302, 2.303)])
def test_values_and_gradients_are_finite_in_float32_at_black_and_white(parameters):
    of = features(*parameters, dtype=torch.float32).requires_grad_()
    p = Beta()(of)
    for x in (0.0, 1.0, 0.3):
        value = p.log_prob(torch.full((1, 1, 1, 1), x))
        (gradient,) = torch.autograd.grad(value.sum(), of, retain_graph=True)
        assert value.isfinite().all()
        assert gradient.isfinite().all()
    assert p.rsample((50,)).isfinite().all()


def test_float32_has_the_digits_of_float64_at_large_concentrations():
    of, x = 6 + torch.rand(400, 2, 1, 1), torch.rand(400, 1, 1, 1)
    exact = Beta()(of.double()).log_prob(x.double())
    torch.testing.assert_close(Beta()(of).log_prob(x).double(), exact, rtol=5e-6, atol=5e-4)


@pytest.mark.parametrize("parameters", [(0.5, 1.0), (-0.5, -0.2), (5.0, 4.0)])
def test_draws_are_scipys(parameters):
    torch.manual_seed(0)
    x = Beta()(features(*parameters)).sample((4000,)).flatten().numpy()
    theirs = scipy.stats.beta(*concentrations(*parameters), loc=-HALF_LEVEL, scale=256 / 255)
    assert scipy.stats.kstest(x, theirs.cdf).pvalue > 1e-3


def test_pixels_outside_their_cells_are_refused():
    with pytest.raises(ValueError, match="support"):
        Beta()(features(0.0, 0.0)).log_prob(torch.full((1, 1, 1, 1), 1.01, dtype=torch.float64))


def test_the_share_of_pixels_near_the_limit_is_told():
    likelihood = Beta(10.0)
    of = torch.zeros(1, 2, 2, 2)
    of[:, 1, 0] = 20
    assert likelihood.diagnostics(likelihood(of)) == {"share_near_max_concentration": 0.5}
