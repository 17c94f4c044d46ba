import io

import numpy as np
import pytest
import torch

from vae_exp.architecture import AE, M2, VAE
from vae_exp.corruption import Masking
from vae_exp.figures.captions import CAPTIONS
from vae_exp.figures.portfolio import portfolio
from vae_exp.likelihood import Bernoulli, Gaussian
from vae_exp.network import MLP
from vae_exp.objective import SGVBB

SHAPE = (1, 6, 4)


PARTS = {"network": MLP([8]), "likelihood": Bernoulli()}
MAKE = {
    "ae": lambda latent_dim: AE(SHAPE, **PARTS, latent_dim=latent_dim),
    "dae": lambda latent_dim: AE(SHAPE, **PARTS, latent_dim=latent_dim, corruption=Masking(0.5)),
    "vae": lambda latent_dim: VAE(SHAPE, 10, **PARTS, objective=SGVBB(), latent_dim=latent_dim),
    "cvae": lambda latent_dim: VAE(SHAPE, 10, **PARTS, objective=SGVBB(), latent_dim=latent_dim, conditional=True),
    "m2": lambda latent_dim: M2(SHAPE, 10, **PARTS, objective=SGVBB(), latent_dim=latent_dim),
}


def drawn(kind, latent_dim):
    """The model, a batch, and the figures by name."""
    model, batch = MAKE[kind](latent_dim).eval(), (torch.rand(30, *SHAPE), torch.arange(30) % 10)
    return model, batch, dict(portfolio(model, batch, "title"))


def row_names(figure):
    return [label.get_text() for label in figure.axes[0].get_yticklabels()]


@pytest.mark.parametrize(("latent_dim", "of_a_plane"), [(2, {"latent_scatter", "manifold"}), (3, set())])
@pytest.mark.parametrize(
    ("kind", "names", "rows"),
    [
        ("ae", {"filters"}, ["input", "output"]),
        ("dae", {"filters"}, ["input", "corrupted", "output"]),
        ("vae", {"samples"}, ["input", "output"]),
        ("cvae", {"samples", "analogies"}, ["input", "output"]),
        ("m2", {"samples", "analogies"}, ["input", "output"]),
    ],
)
def test_every_model_gets_the_figures_that_it_has(kind, names, rows, latent_dim, of_a_plane):
    _, _, figures = drawn(kind, latent_dim)
    assert set(figures) == {"reconstructions"} | names | of_a_plane
    assert set(figures) <= CAPTIONS.keys()
    assert row_names(figures["reconstructions"]) == rows


@pytest.mark.parametrize("kind", ["cvae", "m2"])
def test_samples_have_a_row_for_each_class(kind):
    _, _, figures = drawn(kind, 3)
    assert len(row_names(figures["samples"])) == 10


@pytest.mark.parametrize("kind", MAKE)
def test_two_latents_are_scattered_by_class(kind):
    model, batch, figures = drawn(kind, 2)
    (axes,) = [axes for axes in figures["latent_scatter"].axes if axes.get_legend() is not None]
    np.testing.assert_allclose(np.asarray(axes.collections[0].get_offsets()), model.encode(*batch).detach(), rtol=1e-5)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [f"$\\mathdefault{{{i}}}$" for i in range(10)]


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


@pytest.mark.parametrize("conditional", [False, True])
def test_a_model_of_rows_has_no_figures_that_show_images(conditional):
    model = VAE((1, 1, 5), 2, MLP([4]), Gaussian(mean="identity"), SGVBB(), 2, conditional=conditional).eval()
    batch = torch.randn(12, 1, 1, 5), torch.arange(12) % 2
    figures = dict(portfolio(model, batch, "title"))
    assert set(figures) == {"reconstructions", "samples", "latent_scatter"}
