import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch

from vae_exp.likelihood.logistic_mixture import LogisticMixture

LEVELS = torch.arange(256, dtype=torch.float64) / 255
K = 3


def doubles(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def of_all_levels(features, likelihood=None):
    """P of every level, (256, pixels), for the features (3K·C, H, W) of one image, whose pixels are independent."""
    p = (likelihood or LogisticMixture(K))(features[None])
    pixels = LEVELS.view(256, 1, 1, 1).expand(256, *p.event_shape)
    return p.base_dist.log_prob(pixels).exp().flatten(1)


@pytest.mark.parametrize("size", [0.0, 1.0, 4.0, 30.0])
def test_it_sums_to_one_over_the_levels(size):
    total = of_all_levels(size * doubles(3 * K * 2, 2, 3)).sum(0)
    torch.testing.assert_close(total, torch.ones(12, dtype=torch.float64), rtol=0, atol=1e-10)


def test_it_is_the_difference_of_scipys_distribution_functions():
    features = doubles(3 * K, 1, 1)
    logits, shift, log_scale = features.flatten().view(3, K).numpy()
    loc, scale = (np.arange(K) + 0.5) / K + shift, np.exp(log_scale) / (2 * K) + 0.0005
    edges = np.concatenate([[-np.inf], (np.arange(255) + 0.5) / 255, [np.inf]])
    cdf = scipy.stats.logistic.cdf(edges[:, None], loc, scale)
    expected = (scipy.special.softmax(logits) * np.diff(cdf, axis=0)).sum(1)
    np.testing.assert_allclose(of_all_levels(features).flatten(), expected, rtol=1e-9)


def test_a_channel_has_the_features_of_its_own():
    features = doubles(3 * K * 2, 1, 1)
    alone = [of_all_levels(features.view(3 * K, 2, 1, 1)[:, channel]) for channel in range(2)]
    torch.testing.assert_close(of_all_levels(features), torch.cat(alone, 1))


@pytest.mark.parametrize("size", [0.0, 1.0, 4.0, 15.0])
def test_its_mean_is_within_half_a_level_and_exact_for_wide_components(size):
    features = size * doubles(3 * K, 2, 3)
    of_levels = (of_all_levels(features) * LEVELS[:, None]).sum(0)
    mean = LogisticMixture(K)(features[None]).mean.flatten()
    torch.testing.assert_close(mean, of_levels, rtol=0, atol=1 / 510 if size else 1e-6)


@pytest.mark.parametrize("log_scale", [-100.0, -8.0, 0.0, 20.0])
@pytest.mark.parametrize("shift", [-50.0, 0.0, 50.0])
def test_values_and_gradients_are_finite_in_float32(log_scale, shift):
    features = torch.zeros(1, 3 * K, 1, 1)
    features[:, K : 2 * K], features[:, 2 * K :] = shift, log_scale
    features.requires_grad_()
    for x in (0.0, 0.2, 1.0):
        value = LogisticMixture(K)(features).log_prob(torch.full((1, 1, 1, 1), x))
        (gradient,) = torch.autograd.grad(value.sum(), features)
        assert value.isfinite().all()
        assert value <= 0
        assert gradient.isfinite().all()


def test_draws_are_levels_with_their_probabilities():
    torch.manual_seed(0)
    features = doubles(3 * K, 1, 1)
    x = LogisticMixture(K)(features[None]).sample((20_000,)).flatten()
    expected = 20_000 * of_all_levels(features).flatten().numpy()
    counts = (255 * x).round().long().bincount(minlength=256).numpy()
    torch.testing.assert_close(x, (255 * x).round() / 255)
    many = expected > 5
    assert many.sum() > 20
    assert (np.square(counts - expected)[many] / expected[many]).sum() < 1.5 * many.sum()


@pytest.mark.parametrize("outside", [0.5, -1 / 255, 256 / 255])
def test_pixels_that_are_no_levels_are_refused(outside):
    with pytest.raises(ValueError, match="support"):
        LogisticMixture(K)(torch.zeros(1, 3 * K, 1, 1)).log_prob(torch.full((1, 1, 1, 1), outside))
