"""The decomposition of the mean KL, where it is known."""

import math

import pytest
import torch
from tiny import vae
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from vae_exp.evaluation.information import information, log_aggregated_posterior
from vae_exp.likelihood import Bernoulli
from vae_exp.prior.normal import DiagonalNormal, kl_of_normals

pytestmark = pytest.mark.usefixtures("exactly")


def test_the_aggregated_posterior_is_the_mixture_of_all():
    q = DiagonalNormal(torch.randn(700, 3), torch.randn(700, 3) - 3)
    z = torch.randn(1100, 3)
    mixture = MixtureSameFamily(Categorical(torch.ones(700)), Independent(Normal(q.mean, q.stddev), 1))
    torch.testing.assert_close(log_aggregated_posterior(q, z), mixture.log_prob(z))


def test_codes_that_do_not_depend_on_the_image_carry_nothing():
    found = information(vae(Bernoulli()), DiagonalNormal(torch.full((50, 1), 2.0), torch.zeros(50, 1)))
    torch.testing.assert_close(found.mutual_information, torch.zeros(50))
    assert found.aggregated_kl.mean().item() == pytest.approx(2.0, abs=1.0)  # ½ μ², over 50 draws


def test_codes_far_apart_carry_the_logarithm_of_the_number_of_images_at_most():
    found = information(vae(Bernoulli()), DiagonalNormal(torch.arange(40.0)[:, None] * 100, torch.zeros(40, 1)))
    torch.testing.assert_close(found.mutual_information, torch.full((40,), math.log(40)))


def test_gaussian_codes_have_the_information_of_a_gaussian_channel():
    """z = x + σε with x ~ N(0, 1 − σ²) is N(0, 1): I = −½ log σ² per latent, and q(z) is the prior."""
    model, noise = vae(Bernoulli()), 0.3
    q = DiagonalNormal(torch.randn(4000, 1) * math.sqrt(1 - noise), torch.full((4000, 1), math.log(noise)))
    found = information(model, q)
    assert found.mutual_information.mean().item() == pytest.approx(-0.5 * math.log(noise), abs=0.05)
    assert found.aggregated_kl.mean().item() == pytest.approx(0, abs=0.02)
    both = found.mutual_information + found.aggregated_kl
    assert both.mean().item() == pytest.approx(kl_of_normals(q, model.prior).mean().item(), abs=0.1)
