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
    assert bits_per_dim(968.39, (1, 28, 20), density=True) == pytest.approx(5.50, abs=0.005)
    levels = torch.arange(256) / 255
    density = Normal(0.4, 0.1)
    mass = density.cdf(levels + 0.5 / 255) - density.cdf(levels - 0.5 / 255)
    some = mass > 1e-6
    bits = [bits_per_dim(value, (1, 1, 1), density=True) for value in density.log_prob(levels[some]).tolist()]
    torch.testing.assert_close(torch.tensor(bits), -mass[some].log2(), rtol=0, atol=2e-2)


def test_bits_per_dimension_are_told_of_256_levels_alone():
    pixels = torch.randint(256, (20, *SHAPE), dtype=torch.uint8)
    found = evaluate(vae(Gaussian()), batches(pixels)).means
    assert found["bits_per_dim"] == pytest.approx((-found["bound"] / 4 + math.log(255)) / math.log(2))
    assert "bits_per_dim" not in evaluate(vae(Bernoulli()), batches(pixels)).means
    assert "bits_per_dim" not in evaluate(vae(Gaussian()), batches(pixels, levels=2)).means
    found = evaluate(vae(LogisticMixture()), batches(pixels)).means
    assert found["bits_per_dim"] == pytest.approx(-found["bound"] / 4 / math.log(2))
    assert "bits_per_dim" not in evaluate(vae(LogisticMixture()), batches(pixels, levels=2)).means
