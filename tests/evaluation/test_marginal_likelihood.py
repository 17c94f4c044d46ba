"""Every estimator of log p(x) against a model whose log p(x) is known."""

import math

import pytest
import torch
from linear_gaussian import SHAPE, Linear, linear_model, unit_model
from torch import nn

from vae_exp.architecture import VAE
from vae_exp.errors import UserError
from vae_exp.evaluation.marginal_likelihood import annealed, by_posterior_samples, importance_weighted
from vae_exp.likelihood import unvalidated
from vae_exp.network import MLP
from vae_exp.objective import SGVBB


@pytest.mark.parametrize(("latent_dim", "pixels", "noise"), [(2, 20, 0.5), (3, 20, 0.5), (4, 6, 0.6)])
def test_posterior_samples_are_high_by_little_and_never_low(latent_dim, pixels, noise):
    """By the defaults. New samples of the chains that q was fitted to gave −0.10, −0.24 and −0.09 nats."""
    model, x, exact = unit_model(latent_dim, pixels, noise, images=400)
    torch.manual_seed(1)
    with unvalidated():
        excess = by_posterior_samples(model, x, None).value - exact
    assert -0.03 < excess.mean() < 0.06


def test_posterior_samples_of_a_narrow_posterior():
    """σ = 2·10⁻⁴ there: a floor of q's deviations at 10⁻³ gave an estimate that was 1.2 nats too high."""
    model, x, exact = unit_model(2, 20, 0.001, images=100)
    with unvalidated():
        excess = by_posterior_samples(model, x, None, begin_at="encoder").value - exact
    assert -0.05 < excess.mean() < 0.1


def test_annealing_takes_as_many_temperatures_as_a_sharp_posterior_needs():
    """500 temperatures along a sigmoid and trajectories of one length gave 125 nats too few."""
    model, x, exact = unit_model(4, 100, 0.02, images=4)
    torch.manual_seed(1)
    with unvalidated():
        found = annealed(model.float(), x.float(), None, chains=8, tolerance=0.5)
    assert abs((found.value - exact).mean().item()) < 1.5
    assert abs(found.change) < 1
    assert 100 < found.temperatures < 1000


def test_annealing_takes_few_temperatures_where_few_do(linear_gaussian):
    model, x, exact = linear_gaussian
    with unvalidated():
        found = annealed(model, x, None, chains=50, tolerance=0.5)
    torch.testing.assert_close(found.value, exact, atol=0.5, rtol=0)
    assert found.temperatures < 60
    assert abs(found.change) < 0.5
    assert (found.spread < 1.5).all()


@pytest.mark.parametrize(
    "estimate",
    [
        lambda model, x: importance_weighted(model, x, None, 100),
        lambda model, x: annealed(model, x, None, chains=20, temperatures=50),
        lambda model, x: by_posterior_samples(model, x, None, samples=100, chains=20),
    ],
    ids=["importance weighted", "annealed", "by posterior samples"],
)
def test_errors_are_the_spread_over_repetitions(estimate, linear_gaussian):
    model, x, _ = linear_gaussian
    with unvalidated():
        found = estimate(model, x.repeat(60, 1, 1, 1))
    repeated = found.value.unflatten(0, (60, 7))
    torch.testing.assert_close(found.error.unflatten(0, (60, 7)).mean(0), repeated.std(0), rtol=0.35, atol=0)


def test_one_draw_has_no_error_and_what_is_narrower_than_rounding_keeps_its_density():
    """log q(z) by z itself, in float32 the mean, would leave out E[½ε²] = ½ of every latent."""
    torch.manual_seed(0)
    model = VAE(SHAPE, 0, MLP([]), Linear(), SGVBB(), latent_dim=2).eval()
    with torch.no_grad():
        model.encoder.linears[0].weight.zero_()
        model.encoder.linears[0].bias.copy_(torch.tensor([10.0, 10.0, -40.0, -40.0]))
    x = torch.rand(1, *SHAPE).expand(20_000, *SHAPE)
    found = importance_weighted(model, x, None, 1)
    assert found.error.isnan().all()
    z = torch.full((1, 1, 2), 10.0)
    log_joint = model.joint.log_density(x[:1], z).item()
    assert found.value.mean().item() == pytest.approx(log_joint + 1 - 40 + math.log(2 * math.pi), abs=0.03)


@pytest.fixture
def linear_gaussian():
    model, x, _, exact = linear_model(0)
    return model, x, exact


@pytest.mark.parametrize(
    "estimate",
    [
        lambda model, x, y: importance_weighted(model, x, y, 20_000),
        lambda model, x, y: annealed(model, x, y, chains=200, temperatures=50),
        lambda model, x, y: by_posterior_samples(model, x, y, samples=1000, chains=50, burn_in=40),
        lambda model, x, y: by_posterior_samples(model, x, y, samples=1000, chains=50, burn_in=40, begin_at="encoder"),
    ],
    ids=["importance weighted", "annealed", "by posterior samples", "begun at the encoder"],
)
def test_estimators_meet_the_exact_value_given_labels(estimate):
    """Without labels: the tests above and below."""
    classes = 3
    model, x, y, exact = linear_model(classes)
    runs = torch.stack([estimate(model, x, y).value for _ in range(4)])
    assert runs.shape == (4, 7)
    error = runs.std(0).mean().clamp(min=0.002)  # of one estimate, pooled over the images
    assert ((runs.mean(0) - exact).abs() < 4 * error).all()
    assert error < 0.1
    assert (estimate(model, x, (y + 1) % classes).value - exact).abs().mean() > 1


def test_importance_weighted_bound_does_not_fall_with_k(linear_gaussian):
    model, x, exact = linear_gaussian
    x, exact = x.repeat(300, 1, 1, 1), exact.repeat(300)
    bounds = [importance_weighted(model, x, None, k).value.mean().item() for k in (1, 5, 50, 500)]
    assert bounds == sorted(bounds)
    assert bounds[-1] == pytest.approx(exact.mean().item(), abs=0.01)
    assert bounds[0] < exact.mean() - 0.05
    # L_1 is the bound itself
    assert bounds[0] == pytest.approx(model.bound(x).mean().item(), abs=0.1)


def test_importance_weighted_bound_is_the_same_in_pieces(linear_gaussian):
    model, x, exact = linear_gaussian
    found = importance_weighted(model, x, None, 5000, decoded_at_once=21)
    assert ((found.value - exact).abs() < 5 * found.error).all()
    torch.testing.assert_close(found.error, importance_weighted(model, x, None, 5000).error, rtol=0.3, atol=0)


def test_annealing_does_not_need_a_good_encoder(linear_gaussian):
    model, x, exact = linear_gaussian
    nn.init.zeros_(model.encoder.linears[0].weight)
    torch.testing.assert_close(annealed(model, x, None, 200, 100).value, exact, atol=0.3, rtol=0)


def test_posterior_samples_are_for_few_latents():
    model = VAE(SHAPE, 0, MLP([4]), Linear(), SGVBB(), latent_dim=5).eval()
    with pytest.raises(UserError, match="fewer than 5 latents"):
        by_posterior_samples(model, torch.rand(2, *SHAPE), None)
