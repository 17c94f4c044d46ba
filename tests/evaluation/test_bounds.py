"""What an evaluation of a split says beside its terms: the floor of σ and reconstructions."""

import math

import pytest
import torch
from tiny import SHAPE, batches, vae
from torch.distributions import Normal

from vae_exp.architecture import M1M2, M2
from vae_exp.dataset.base import Images
from vae_exp.dataset.batches import EvaluationBatches
from vae_exp.evaluation import evaluate
from vae_exp.likelihood import Bernoulli, Gaussian
from vae_exp.network import MLP
from vae_exp.objective import SGVBB

pytestmark = pytest.mark.usefixtures("exactly")


def test_the_share_on_the_floor_is_of_the_whole_split_at_draws():
    """z ~ N(−½, 1) of the first, black half and N(½, 1) of the white one; σ(z) is on its floor where z ≤ 0.3."""
    model = vae(Gaussian(min_std=math.exp(0.6)))
    (weight, bias), (log_variance, _) = (list(part.state_dict().values()) for part in (model.encoder, model.decoder))
    for value in model.state_dict().values():
        value.zero_()
    weight[0], bias[0], log_variance[4:] = 0.25, -0.5, 4.0
    pixels = torch.tensor([0, 255], dtype=torch.uint8).repeat_interleave(4000)[:, None, None, None].expand(-1, *SHAPE)
    share = evaluate(model, batches(pixels, 1000)).means["share_at_min_std"]
    normal = Normal(0.0, 1.0)
    expected = (normal.cdf(torch.tensor(0.8)) + normal.cdf(torch.tensor(-0.2))) / 2
    assert share == pytest.approx(expected.item(), abs=0.02)


class TestStandardErrors:
    def test_the_error_of_the_bound_is_the_spread_of_a_bootstrap_over_the_images(self):
        model = vae(Bernoulli())
        brightness = torch.randint(256, (500, 1, 1, 1))
        pixels = (brightness * torch.rand(500, *SHAPE)).byte()
        results = evaluate(model, batches(pixels, 500)).means
        torch.manual_seed(0)  # as in `evaluate`: the same draws
        with torch.no_grad():
            terms = model.evaluate_terms(pixels.double() / 255, torch.full((500,), -1))
        bounds = -(terms["nll"] + terms["kl"])
        assert results["bound"] == pytest.approx(bounds.mean().item())
        resampled = bounds[torch.randint(500, (8000, 500))].mean(1)
        assert results["bound_standard_error"] == pytest.approx(resampled.std().item(), rel=0.05)

    def test_it_does_not_depend_on_the_batches_and_one_image_has_none(self):
        model, pixels = vae(Gaussian()), torch.randint(256, (7, *SHAPE)).byte()
        model.objective = SGVBB(samples=2000)  # each batch has draws of its own
        whole, parts, one = (evaluate(model, batches(pixels[:n], size)).means for n, size in ((7, 7), (7, 3), (1, 1)))
        assert parts["bound_standard_error"] == pytest.approx(whole["bound_standard_error"], rel=0.05)
        assert "bound_standard_error" not in one

    def test_the_error_rate_is_a_proportion_of_the_labelled_images(self):
        model = M2(SHAPE, 3, network=MLP([3]), likelihood=Bernoulli(), objective=SGVBB(), latent_dim=1)
        labels = torch.where(torch.arange(60) < 40, torch.arange(60) % 3, -1)
        images = Images(torch.randint(256, (60, *SHAPE)).byte(), labels)
        results = evaluate(model, EvaluationBatches(images, lambda pixels: pixels.double() / 255, 20, 256)).means
        rate, n = results["error"], 40
        assert 0 < rate < 1
        assert results["error_standard_error"] == pytest.approx((rate * (1 - rate) / (n - 1)) ** 0.5)


def test_every_model_reconstructs_at_draws_from_its_posterior():
    """So that −log p(x) of what it gives is the nll, on average over many draws."""
    x = torch.rand(1, *SHAPE).expand(4000, *SHAPE)
    y = torch.full((4000,), -1)
    parts = {"network": MLP([3], init_std=0.8), "likelihood": Gaussian(), "objective": SGVBB()}
    sure = torch.tensor([20.0, 0.0, 0.0])
    for model in (vae(Gaussian()), M2(SHAPE, 3, **parts, latent_dim=2), M1M2(SHAPE, 3, **parts, features=2)):
        if isinstance(model, M2):  # the nll is a mean over the labels, the reconstruction has the most probable one
            list(model.classifier.state_dict().values())[-1].copy_(sure)
        with torch.no_grad():
            nll, drawn = model.evaluate_terms(x, y)["nll"], -model.reconstruct(x, y).log_prob(x)
        assert drawn.std() > 0.01
        assert drawn.mean().item() == pytest.approx(nll.mean().item(), abs=0.1 * nll.std().item())
