import math

import pytest
import torch
from tiny import SHAPE, batches, vae
from torch.distributions import Normal

from vae_exp.evaluation import evaluate
from vae_exp.evaluation.bits import bits_per_dim
from vae_exp.likelihood import Bernoulli, Gaussian
from vae_exp.likelihood.logistic_mixture import LogisticMixture

pytestmark = pytest.mark.usefixtures("exactly")


def test_bits_per_dimension_are_those_of_the_levels():
    """Under a σ of many levels a level's probability is the density times its width; Frey Face has 5.50."""
    assert bits_per_dim(968.39, (1, 28, 20), step=1 / 255) == pytest.approx(5.50, abs=0.005)
    levels = torch.arange(256) / 255
    density = Normal(0.4, 0.1)
    mass = density.cdf(levels + 0.5 / 255) - density.cdf(levels - 0.5 / 255)
    some = mass > 1e-6
    bits = [bits_per_dim(value, (1, 1, 1), step=1 / 255) for value in density.log_prob(levels[some]).tolist()]
    torch.testing.assert_close(torch.tensor(bits), -mass[some].log2(), rtol=0, atol=2e-2)


def test_bits_per_dimension_are_told_of_256_levels_alone():
    pixels = torch.randint(256, (20, *SHAPE), dtype=torch.uint8)
    found = evaluate(vae(Gaussian()), batches(pixels)).means
    assert found["bits_per_dim"] == pytest.approx((-found["bound"] / 4 + math.log(255)) / math.log(2))
    assert "bits_per_dim" not in evaluate(vae(Bernoulli()), batches(pixels)).means
    assert "bits_per_dim" not in evaluate(vae(Gaussian()), batches(pixels, step=None)).means
    found = evaluate(vae(LogisticMixture()), batches(pixels)).means
    assert found["bits_per_dim"] == pytest.approx(-found["bound"] / 4 / math.log(2))
    assert "bits_per_dim" not in evaluate(vae(LogisticMixture()), batches(pixels, step=None)).means


def test_the_bits_of_dequantised_pixels_are_those_of_the_mass_in_a_cell_or_more():
    """E_u log p((v + u)/256) ≤ log ∫ p over the cell of the level v, whatever the width of the density is."""
    for std in (0.2, 0.005):
        density, v = Normal(0.4, std), torch.arange(95, 110)[:, None]
        u = (torch.arange(2000) + 0.5) / 2000
        mass = density.cdf((v + 1) / 256) - density.cdf(v / 256)
        mean = density.log_prob((v + u) / 256).mean(1)
        bits = torch.tensor([bits_per_dim(value, (1, 1, 1), step=1 / 256) for value in mean.tolist()])
        assert (bits >= -mass[:, 0].log2() - 1e-6).all()
        assert (bits[8] + mass[8, 0].log2()).abs() < (1e-4 if std == 0.2 else 0.1)
