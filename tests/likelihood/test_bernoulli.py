import numpy as np
import pytest
import scipy.stats
import torch

from vae_exp.likelihood import Bernoulli

SHAPE = (1, 3, 2)


def doubles(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_bernoulli_is_scipys_on_binary_images():
    features, x = doubles(5, *SHAPE), (doubles(5, *SHAPE, seed=1) > 0).double()
    expected = scipy.stats.bernoulli.logpmf(x, torch.sigmoid(features)).sum((1, 2, 3))
    np.testing.assert_allclose(Bernoulli()(features).log_prob(x), expected, rtol=1e-12)


def test_bernoulli_of_grey_images_is_the_cross_entropy_of_the_paper():
    features, x = doubles(5, *SHAPE), torch.rand(5, *SHAPE, dtype=torch.float64)
    p = torch.sigmoid(features)
    expected = (x * p.log() + (1 - x) * (1 - p).log()).sum((1, 2, 3))
    torch.testing.assert_close(Bernoulli()(features).log_prob(x), expected)


@pytest.mark.parametrize("outside", [-0.01, 1.01, float("nan")])
def test_bernoulli_refuses_images_outside_the_unit_interval(outside):
    with pytest.raises(ValueError, match="support"):
        Bernoulli()(torch.zeros(1, *SHAPE)).log_prob(torch.full((1, *SHAPE), outside))


def test_bernoulli_sums_to_one_over_all_binary_images():
    images = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 6).double().view(-1, *SHAPE)
    p = Bernoulli()(doubles(1, *SHAPE)).log_prob(images).exp()
    assert p.sum().item() == pytest.approx(1, abs=1e-12)
