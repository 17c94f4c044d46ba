import math

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st

from vae_exp.errors import ConfigError
from vae_exp.likelihood import Bernoulli, Gaussian

SHAPE = (1, 3, 2)


def doubles(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_gaussian_is_scipys():
    features, x = doubles(5, 2, 3, 2), torch.rand(5, *SHAPE, dtype=torch.float64)
    mean, log_variance = features.chunk(2, 1)
    expected = scipy.stats.norm.logpdf(x, torch.sigmoid(mean), torch.exp(0.5 * log_variance)).sum((1, 2, 3))
    np.testing.assert_allclose(Gaussian()(features).log_prob(x), expected, rtol=1e-12)


@given(mean=st.floats(-3, 3), log_variance=st.floats(-4, 2))
def test_gaussian_integrates_to_one(mean, log_variance):
    features = torch.tensor([mean, log_variance], dtype=torch.float64).view(1, 2, 1, 1)
    x = torch.linspace(-40, 40, 200_001, dtype=torch.float64).view(-1, 1, 1, 1)
    density = Gaussian()(features).log_prob(x).exp()
    assert torch.trapezoid(density, x.flatten()).item() == pytest.approx(1, abs=1e-9)


def test_fixed_variance_is_the_squared_error_up_to_a_constant():
    likelihood = Gaussian(variance="fixed", std=0.5).double()
    features, x = doubles(5, *SHAPE), torch.rand(5, *SHAPE, dtype=torch.float64)
    squared = (x - torch.sigmoid(features)).square().sum((1, 2, 3)) / (2 * 0.25)
    constant = 6 * (math.log(0.5) + 0.5 * math.log(2 * math.pi))
    torch.testing.assert_close(-likelihood(features).log_prob(x), squared + constant)
    assert not any(parameter.requires_grad for parameter in likelihood.parameters())


def test_the_mean_may_be_the_features_themselves():
    """With σ² = ½ then −log p is the squared error + ½·log π per pixel."""
    likelihood = Gaussian(variance="fixed", std=math.sqrt(0.5), mean="identity").double()
    features, x = doubles(5, *SHAPE), torch.rand(5, *SHAPE, dtype=torch.float64)
    assert torch.equal(likelihood(features).mean, features)
    squared = (x - features).square().sum((1, 2, 3))
    torch.testing.assert_close(
        -likelihood(features).log_prob(x), squared + 6 * 0.5 * math.log(math.pi), rtol=1e-6, atol=0
    )


def test_shared_variance_is_one_parameter_that_learns():
    likelihood = Gaussian(variance="shared").double()
    likelihood(doubles(5, *SHAPE)).log_prob(torch.rand(5, *SHAPE, dtype=torch.float64)).sum().backward()
    (parameter,) = likelihood.parameters()
    assert parameter.numel() == 1
    assert parameter.grad is not None
    assert parameter.grad.item() != 0


def test_std_has_a_floor_and_the_share_on_it_is_told():
    likelihood = Gaussian(min_std=0.1)
    features = torch.zeros(1, 2, 2, 2)
    features[:, 1, 0] = -100  # σ would be e⁻⁵⁰ in the upper row
    p = likelihood(features)
    assert p.stddev.min().item() == pytest.approx(0.1)
    assert likelihood.diagnostics(p) == {"share_at_min_std": 0.5}


def test_a_sigma_below_its_floor_is_pulled_up_and_not_pushed_down():
    likelihood = Gaussian("learned", min_std=0.1)
    log_variance = torch.full((1, 1, 2, 2), -20.0, requires_grad=True)
    x = torch.full((1, 1, 2, 2), 0.5)
    x[..., 0] = 0.9  # far from the mean: a larger σ would be better there, a smaller one where x = μ
    loss = -likelihood(torch.cat([torch.zeros(1, 1, 2, 2), log_variance], 1)).log_prob(x).sum()
    loss.backward()
    assert (log_variance.grad[..., 0] < 0).all()
    assert (log_variance.grad[..., 1] == 0).all()


@pytest.mark.parametrize("sign", [1, -1], ids=["log p maximised", "its negative minimised"])
@pytest.mark.parametrize(("log_variance", "steps"), [(-12.0, 100), (-20.0, 300)])
def test_a_sigma_far_below_its_floor_comes_up_again(log_variance, steps, sign):
    """Errors are ten times the floor of 0.01: log σ² rises by 0.05 in a step."""
    likelihood = Gaussian("learned").double()
    features = torch.tensor([0.0, log_variance], dtype=torch.float64).view(1, 2, 1, 1).requires_grad_()
    optimizer = torch.optim.SGD([features], lr=1e-3, maximize=sign > 0)
    x = torch.full((1, 1, 1, 1), 0.6, dtype=torch.float64)
    for _ in range(steps):
        optimizer.zero_grad()
        (sign * likelihood(torch.cat([torch.zeros(1, 1, 1, 1), features[:, 1:]], 1)).log_prob(x).sum()).backward()
        optimizer.step()
    assert features[0, 1].item() > 2 * math.log(0.01)


def test_a_shared_sigma_below_its_floor_rises_where_the_pixels_want_it_together():
    likelihood = Gaussian("shared", std=0.2, min_std=0.1)
    with torch.no_grad():
        likelihood.log_variance.fill_(-20)

    def gradient(x):
        return torch.autograd.grad(likelihood(torch.zeros(2, *SHAPE)).log_prob(x).mean(), likelihood.log_variance)[0]

    x = torch.full((2, *SHAPE), 0.5)
    assert gradient(x) == 0
    x[0, 0, 0, 0] = 0.6  # one pixel of twelve with r² = 1
    assert gradient(x) == 0
    x[0, 0, 0, 0] = 1.0  # r² = 25
    assert gradient(x).item() == pytest.approx(0.5 * (25 / 12 - 1) * 6, rel=1e-5)


@pytest.mark.parametrize("variance", ["learned", "shared", "fixed"])
def test_training_changes_the_gradient_below_the_floor_alone(variance):
    likelihood = Gaussian(variance, std=0.5, min_std=0.1).double()
    features = doubles(5, likelihood.parameters_per_pixel, 3, 2)
    features[:, 1:, 0] = -30
    x = torch.rand(5, *SHAPE, dtype=torch.float64)
    found = []
    for mode in (True, False):
        of = features.clone().requires_grad_()
        p = likelihood.train(mode)(of)
        (gradient,) = torch.autograd.grad(p.log_prob(x).sum(), of)
        torch.manual_seed(0)
        found.append([p.log_prob(x), p.mean, p.variance, p.stddev, p.sample((2,)), gradient[:, :, 1:], gradient[:, :1]])
    for trained, evaluated in zip(*found, strict=True):
        assert torch.equal(trained, evaluated)


@pytest.mark.parametrize("variance", ["shared", "fixed"])
def test_a_std_below_the_floor_is_refused(variance):
    with pytest.raises(ConfigError, match=r"likelihood\.std=0\.001"):
        Gaussian(variance, std=0.001)


def test_parameters_per_pixel():
    assert (Bernoulli.parameters_per_pixel, Gaussian.parameters_per_pixel) == (1, 2)
    assert Gaussian(variance="fixed").parameters_per_pixel == Gaussian(variance="shared").parameters_per_pixel == 1
