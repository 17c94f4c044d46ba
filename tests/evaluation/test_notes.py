"""What is said beside a model's nats."""

import pytest
import torch

from vae_exp.architecture import VAE
from vae_exp.dataset.mnist import MNIST
from vae_exp.evaluation.notes import ceiling, notes
from vae_exp.likelihood import Bernoulli, Gaussian
from vae_exp.network import MLP
from vae_exp.objective import SGVBB


def vae(likelihood, shape=(1, 28, 28), conditional=False):
    return VAE(shape, 10, MLP([3]), likelihood, SGVBB(), latent_dim=2, conditional=conditional)


def test_the_ceiling_of_grey_mnist_is_the_entropy_of_its_pixels(tmp_path):
    x = MNIST(str(tmp_path)).load().test.pixels.double() / 255
    assert ceiling(vae(Bernoulli()), x) == pytest.approx(-45.53, abs=0.005)


def test_the_ceiling_is_reached_by_the_distribution_that_the_pixels_are_and_by_no_other():
    x = torch.rand(1, 1, 2, 3, dtype=torch.float64)
    highest = ceiling(vae(Bernoulli()), x)
    logits = x.logit()
    assert Bernoulli()(logits).log_prob(x).item() == pytest.approx(highest)
    for _ in range(20):
        assert Bernoulli()(logits + 0.1 * torch.randn_like(logits)).log_prob(x).item() < highest


def test_the_value_of_a_grey_image_is_the_mean_over_binary_ones_and_log_p_lies_below_theirs():
    """Exactly, over all 64 images b and a p(z) of three values: log Σ_z p(z) exp E_b log p(b|z) ≤ E_b log p(b)."""
    torch.manual_seed(0)
    x = torch.rand(6, dtype=torch.float64).view(1, 2, 3)
    decoder = Bernoulli()(torch.randn(3, 1, 2, 3, dtype=torch.float64))
    binary = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * 6).view(-1, 1, 1, 2, 3)
    probability = torch.where(binary == 1, x, 1 - x).flatten(1).prod(1)
    log_p = decoder.log_prob(binary)
    torch.testing.assert_close(probability @ log_p, decoder.log_prob(x))
    estimate = (decoder.log_prob(x).exp() / 3).sum().log()
    assert estimate < probability @ (log_p.exp() / 3).sum(1).log() < 0


def test_only_what_is_so_is_said():
    grey, binary = torch.rand(2, 1, 28, 28), torch.rand(2, 1, 28, 28).round()
    assert notes(vae(Bernoulli()), binary) == notes(vae(Gaussian()), grey) == []
    assert ceiling(vae(Gaussian()), grey) is None
    (note,) = notes(vae(Bernoulli()), grey)
    assert f"{ceiling(vae(Bernoulli()), grey):.2f}" in note
    (note,) = notes(vae(Bernoulli(), conditional=True), binary)
    assert "log p(x|y)" in note
