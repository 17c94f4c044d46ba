import io

import numpy as np
import pytest
import scipy.stats
import torch

from vae_exp.architecture import AE, M2, VAE
from vae_exp.corruption import Masking
from vae_exp.dataset import Images
from vae_exp.dataset.standardisation import Standardisation
from vae_exp.figures.images import analogies, brightness, filters, image_grid, reconstructions, samples
from vae_exp.figures.latent import gaussian_grid, linear_grid, manifold, quantile_grid
from vae_exp.figures.portfolio import portfolio
from vae_exp.figures.rows import strips
from vae_exp.likelihood import Bernoulli, Gaussian
from vae_exp.network import MLP
from vae_exp.objective import SGVBB

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


@pytest.mark.parametrize("latent_dim", [2, 3])
@pytest.mark.parametrize("kind", ["ae", "dae", "vae", "cvae", "m2"])
def test_every_model_gets_the_figures_that_it_has(kind, latent_dim):
    parts = {"network": MLP([8]), "likelihood": Bernoulli(), "latent_dim": latent_dim}
    if kind == "m2":
        model = M2(SHAPE, 10, objective=SGVBB(), **parts)
    elif "v" in kind:
        model = VAE(SHAPE, 10, objective=SGVBB(), conditional=kind == "cvae", **parts)
    else:
        model = AE(SHAPE, corruption=Masking(0.5) if kind == "dae" else None, **parts)
    x, y = torch.rand(30, *SHAPE), torch.arange(30) % 10
    figures = dict(portfolio(model.eval(), (x, y), "title"))
    expected = {"reconstructions", "filters" if kind in ("ae", "dae") else "samples"}
    expected |= {"analogies"} if kind in ("cvae", "m2") else set()
    assert set(figures) == expected | ({"latent_scatter", "manifold"} if latent_dim == 2 else set())
    rows = [label.get_text() for label in figures["reconstructions"].axes[0].get_yticklabels()]
    assert rows == (["input", "corrupted", "output"] if kind == "dae" else ["input", "output"])
    if kind in ("cvae", "m2"):
        assert len(figures["samples"].axes[0].get_yticklabels()) == 10
    if latent_dim == 2:
        offsets = np.asarray(figures["latent_scatter"].axes[0].collections[0].get_offsets())
        np.testing.assert_allclose(offsets, model.encode(x, y).detach(), rtol=1e-5)
        legend = figures["latent_scatter"].axes[0].get_legend()
        assert [text.get_text() for text in legend.get_texts()] == [f"$\\mathdefault{{{i}}}$" for i in range(10)]


@pytest.mark.parametrize("kind", ["cvae", "vae"])
def test_figures_show_the_names_of_the_classes(kind):
    parts = {"network": MLP([8]), "likelihood": Bernoulli(), "latent_dim": 2}
    model = VAE(SHAPE, 3, objective=SGVBB(), conditional=kind == "cvae", **parts).eval()
    batch = torch.rand(20, *SHAPE), torch.arange(20) % 2
    names = ["a$1$ and $2", "_hidden", "a name that is too long for a figure"]
    figures = dict(portfolio(model, batch, "title", 4, class_names=names))
    shown = [r"a\$1\$ and \$2", "_hidden", "a name that is too long…"]
    legend = figures["latent_scatter"].axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == shown[:2]
    if kind == "cvae":
        assert [label.get_text() for label in figures["samples"].axes[0].get_yticklabels()] == shown
        assert [label.get_text() for label in figures["analogies"].axes[0].get_xticklabels()] == ["input", *shown]
        assert [axes.get_title() for axes in figures["manifold"].axes] == shown
    for figure in figures.values():
        figure.savefig(io.BytesIO())


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


def test_rows_are_strips_of_standard_deviations():
    like = torch.arange(12.0).view(4, 1, 1, 3)
    figure = strips({"input": like, "output": like[:2] + 1e9}, like, "title")
    assert drawn(figure)[:, 0] == pytest.approx((np.arange(4) - 1.5) / np.arange(4).std())
    assert drawn(figure, 1).shape == (2, 3)
    assert [axes.get_title() for axes in figure.axes[:2]] == ["input", "output"]


@pytest.mark.parametrize("conditional", [False, True])
def test_a_model_of_rows_has_no_figures_that_show_images(conditional):
    model = VAE((1, 1, 5), 2, MLP([4]), Gaussian(mean="identity"), SGVBB(), 2, conditional=conditional).eval()
    batch = torch.randn(12, 1, 1, 5), torch.arange(12) % 2
    figures = dict(portfolio(model, batch, "title"))
    assert set(figures) == {"reconstructions", "samples", "latent_scatter"}
