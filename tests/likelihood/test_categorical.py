import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch

from vae_exp.likelihood.categorical import Categorical

LEVELS = torch.arange(256, dtype=torch.float64) / 255


def doubles(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_every_pixel_of_every_channel_has_the_softmax_of_its_features():
    """The probabilities of all levels, and so their sum."""
    features = 2 * doubles(1, 256 * 2, 2, 3)
    p = Categorical()(features)
    pixels = LEVELS.view(256, 1, 1, 1).expand(256, *p.event_shape)
    found = p.base_dist.log_prob(pixels).exp()
    expected = scipy.special.softmax(features[0].view(256, 2, 2, 3).numpy(), axis=0)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    torch.testing.assert_close(found.sum(0), torch.ones(2, 2, 3, dtype=torch.float64))
    torch.testing.assert_close(p.mean[0], (found * pixels).sum(0))


def test_several_latents_of_an_image_share_the_image():
    features, x = doubles(3, 2, 256, 2, 2), torch.randint(256, (2, 1, 2, 2)) / 255
    together = Categorical()(features).log_prob(x)
    assert together.shape == (3, 2)
    alone = torch.stack([Categorical()(of).log_prob(x) for of in features])
    torch.testing.assert_close(together, alone)


@pytest.mark.parametrize("x", [0.0, 1.0])
def test_gradients_are_finite_at_black_and_white_however_sure_the_model_is(x):
    for size in (0.0, 1e4):
        features = (size * torch.randn(1, 256, 1, 1)).requires_grad_()
        value = Categorical()(features).log_prob(torch.full((1, 1, 1, 1), x))
        (gradient,) = torch.autograd.grad(value.sum(), features)
        assert value.isfinite().all()
        assert gradient.isfinite().all()


def test_draws_are_levels_with_their_probabilities():
    torch.manual_seed(0)
    features = torch.full((1, 256, 1, 1), -1e4, dtype=torch.float64)
    features[0, [0, 17, 255], 0, 0] = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64).log()
    x = Categorical()(features).sample((20_000,)).flatten()
    values, counts = x.unique(return_counts=True)
    torch.testing.assert_close(values, LEVELS[[0, 17, 255]])
    assert scipy.stats.chisquare(counts.numpy(), [4000, 10_000, 6000]).pvalue > 1e-3


@pytest.mark.parametrize("outside", [0.5, -1 / 255, 256 / 255])
def test_pixels_that_are_no_levels_are_refused(outside):
    with pytest.raises(ValueError, match="support"):
        Categorical()(torch.zeros(1, 256, 1, 1)).log_prob(torch.full((1, 1, 1, 1), outside))
