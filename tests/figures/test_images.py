import numpy as np
import pytest
import torch

from vae_exp.architecture import AE
from vae_exp.dataset import Images
from vae_exp.dataset.standardisation import Standardisation
from vae_exp.figures.images import analogies, brightness, filters, image_grid, reconstructions, samples
from vae_exp.figures.portfolio import portfolio
from vae_exp.likelihood import Gaussian
from vae_exp.network import MLP

SHAPE = (1, 6, 4)


def drawn(figure, panel=0):
    """The pixels that a figure's panel shows."""
    return np.asarray(figure.axes[panel].images[0].get_array())


def shades(n):
    """Image i is one grey value, different for every i."""
    return torch.linspace(0, 0.9, n).view(n, 1, 1, 1).expand(n, *SHAPE)


def test_image_grid_puts_images_row_by_row():
    grid = image_grid(shades(5), columns=3, gap=1)
    assert grid.shape == (2 * 7 + 1, 3 * 5 + 1)
    for i in range(5):
        top, left = 1 + 7 * (i // 3), 1 + 5 * (i % 3)
        assert (grid[top : top + 6, left : left + 4] == shades(5)[i, 0, 0, 0]).all()
    assert (grid[0] == 1).all()


def test_reconstructions_stand_under_their_inputs():
    x = shades(4)
    figure = reconstructions({"input": x, "output": 1 - x}, "title")
    grid = drawn(figure)
    for i in range(4):
        upper, lower = grid[3, 3 + 6 * i], grid[3 + 8, 3 + 6 * i]
        assert upper == pytest.approx(1 - lower, abs=1e-6)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["input", "output"]


def test_sample_rows_are_named_by_class():
    figure = samples(shades(20), "title", row_names=["zero", "one"])
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["zero", "one"]


def test_analogies_stand_beside_their_input():
    x, images = shades(2), shades(6).unflatten(0, (2, 3))
    figure = analogies(x, images, "title")
    grid = drawn(figure)
    for row in range(2):
        shown = [grid[3 + 8 * row, 3 + 6 * column] for column in range(4)]
        assert shown == pytest.approx([x[row, 0, 0, 0].item(), *images[row, :, 0, 0, 0].tolist()])
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["input", "0", "1", "2"]


def test_filters_are_grey_at_zero_and_the_largest_come_first():
    weights = torch.zeros(3, *SHAPE)
    weights[1, 0, 0, 0], weights[2, 0, 0, 0] = 1.0, -5.0
    grid = drawn(filters(weights, "title"))
    assert np.isnan(grid[0, 0])  # no weight
    assert grid[2, 2] == 0  # the largest magnitude, negative
    assert grid[2, 2 + 6] == 1
    assert grid[3, 3] == grid[2, 2 + 12] == 0.5


class TestRealValues:
    def test_are_scaled_by_their_range_without_outliers(self):
        x = torch.linspace(-5, 15, 1001).view(1001, 1, 1, 1).clone()
        x[0], x[-1] = -1e6, 1e6
        shown = brightness(x[torch.randperm(1001)])(torch.tensor([-5.0, 5.0, 15.0]))
        assert shown.tolist() == pytest.approx([0, 0.5, 1], abs=0.1)

    def test_in_the_unit_interval_are_shown_as_they_are(self):
        x = torch.rand(5, *SHAPE) / 2
        assert torch.equal(brightness(x)(x), x)

    def test_that_are_standardised_are_shown_in_their_units(self):
        x = shades(6)
        standardisation = Standardisation(torch.full(SHAPE, 0.4).double(), torch.full(SHAPE, 0.2).double())
        model = AE(SHAPE, MLP([4]), Gaussian("fixed", mean="identity"), latent_dim=3).eval()
        standardised = standardisation.apply(Images(x, torch.zeros(6))).pixels
        figures = dict(portfolio(model, (standardised, torch.full((6,), -1)), "title", 4, standardisation))
        shown = drawn(figures["reconstructions"])[3, 3::6][:6]
        assert shown.tolist() == pytest.approx(x[:, 0, 0, 0].tolist(), abs=1e-5)
