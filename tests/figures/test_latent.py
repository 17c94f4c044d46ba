import numpy as np
import pytest
import scipy.stats
import torch

from vae_exp.architecture import VAE
from vae_exp.figures.latent import gaussian_grid, linear_grid, manifold, quantile_grid
from vae_exp.figures.portfolio import portfolio
from vae_exp.likelihood import Bernoulli
from vae_exp.network import MLP
from vae_exp.objective import SGVBB

SHAPE = (1, 6, 4)


def drawn(figure, panel=0):
    """The pixels that a figure's panel shows."""
    return np.asarray(figure.axes[panel].images[0].get_array())


def shades(n):
    """Image i is one grey value, different for every i."""
    return torch.linspace(0, 0.9, n).view(n, 1, 1, 1).expand(n, *SHAPE)


def test_gaussian_grid_is_the_inverse_cdf_of_a_linear_grid():
    z = gaussian_grid(4)
    expected = scipy.stats.norm.ppf([0.125, 0.375, 0.625, 0.875])
    np.testing.assert_allclose(z[0, :, 0], expected, rtol=1e-5)  # z₁ to the right
    np.testing.assert_allclose(z[:, 0, 1], expected[::-1], rtol=1e-5)  # z₂ upwards


def test_quantile_grid_takes_equal_shares_of_the_codes():
    codes = torch.stack([torch.arange(101.0), 2 * torch.arange(101.0)], 1)
    z = quantile_grid(codes, 2)
    torch.testing.assert_close(z[0, :, 0], torch.tensor([25.0, 75.0]))
    torch.testing.assert_close(z[:, 0, 1], torch.tensor([150.0, 50.0]))


def test_linear_grid_goes_from_end_to_end_in_equal_steps():
    z = linear_grid(3)
    assert z[0].tolist() == [[-5, 5], [0, 5], [5, 5]]
    assert z[:, 1].tolist() == [[0, 5], [0, 0], [0, -5]]


def test_manifold_lies_as_its_latents_do():
    images = shades(4).unflatten(0, (2, 2))
    grid = drawn(manifold({"": images}, "title"))
    assert [grid[0, 0], grid[0, 4], grid[6, 0], grid[6, 4]] == pytest.approx(shades(4)[:, 0, 0, 0].tolist())


@pytest.mark.parametrize(("conditional", "side"), [(False, 4), (True, 2)])
def test_a_manifold_has_the_side_asked_for_and_half_of_it_for_each_class(conditional, side):
    parts = {"network": MLP([8]), "likelihood": Bernoulli(), "latent_dim": 2}
    model = VAE(SHAPE, 10, objective=SGVBB(), conditional=conditional, **parts).eval()
    batch = torch.rand(20, *SHAPE), torch.arange(20) % 10
    figure = dict(portfolio(model, batch, "title", manifold_side=4))["manifold"]
    drawn = figure.axes[0].images[0].get_array().shape
    assert drawn[:2] == (side * SHAPE[1], side * SHAPE[2])
