"""Every estimator of log p(x) against a model whose log p(x) is known."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import Independent, MultivariateNormal, Normal

from vae_exp.architecture import VAE
from vae_exp.errors import UserError
from vae_exp.evaluation.marginal_likelihood import annealed, by_posterior_samples, importance_weighted
from vae_exp.hmc import Chains, _with_gradient, hmc, start_chains
from vae_exp.likelihood import Gaussian, Likelihood, unvalidated
from vae_exp.network import MLP
from vae_exp.objective import SGVBB
from vae_exp.posterior.hmc import HMCPosterior, starting_points

SHAPE = (1, 3, 2)
NOISE = 0.6


class Linear(Likelihood):
    """N(features, σ²), by default with σ = 0.6."""

    parameters_per_pixel = 1

    def __init__(self, noise=NOISE):
        super().__init__()
        self.noise = noise

    def forward(self, features):
        return Independent(Normal(features, self.noise), 3)

    def diagnostics(self, p):
        return {}


def linear_model(classes):
    """p(x|z, y) = N(Wz + b_y, σ²I), an encoder that is near the posterior, images, labels, and their log p(x|y)."""
    torch.manual_seed(0)
    parts = {"network": MLP([], init_std=None), "likelihood": Linear(), "objective": SGVBB(), "latent_dim": 3}
    model = VAE(SHAPE, classes, conditional=classes > 0, **parts).double().eval()
    y = torch.arange(7) % max(classes, 1)
    weight, bias = (p.detach() for p in model.decoder.parameters())
    W, of_classes = weight.split([3, classes], 1)
    of_classes.mul_(5)  # so that the wrong label is seen
    b = bias + (of_classes.T[y] if classes else torch.zeros(7, 6, dtype=torch.float64))
    precision = torch.eye(3, dtype=torch.float64) + W.T @ W / NOISE**2
    V = torch.linalg.solve(precision, W.T) / NOISE**2
    with torch.no_grad():
        (linear,) = model.encoder.linears
        of_labels = torch.cat([-0.9 * V @ of_classes, torch.zeros(3, classes)])
        linear.weight.copy_(torch.cat([torch.cat([0.9 * V, torch.zeros(3, 6)]), of_labels], 1))
        linear.bias.copy_(torch.cat([-0.9 * V @ bias, torch.full((3,), 0.3) - precision.diagonal().log()]))
    p = MultivariateNormal(b, W @ W.T + NOISE**2 * torch.eye(6))
    x = p.sample()
    return model, x.unflatten(1, SHAPE), y if classes else None, p.log_prob(x)


def unit_model(latent_dim, pixels, noise, images):
    """p(x|z) = N(Wz + b, σ²I), W ~ N(0, 1), images and their log p(x); the encoder: p(z|x) but for correlations."""
    torch.manual_seed(0)
    model = VAE((1, pixels, 1), 0, MLP([], init_std=None), Linear(noise), SGVBB(), latent_dim).double().eval()
    W, b = (parameter.detach() for parameter in model.decoder.parameters())
    W.normal_()
    precision = torch.eye(latent_dim, dtype=torch.float64) + W.T @ W / noise**2
    V = torch.linalg.solve(precision, W.T) / noise**2
    with torch.no_grad():
        (linear,) = model.encoder.linears
        linear.weight.copy_(torch.cat([V, torch.zeros_like(V)]))
        linear.bias.copy_(torch.cat([-V @ b, -precision.diagonal().log()]))
    p = MultivariateNormal(b, W @ W.T + noise**2 * torch.eye(pixels))
    x = p.sample((images,))
    return model, x.view(-1, 1, pixels, 1), p.log_prob(x)


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


@pytest.mark.parametrize("classes", [0, 3])
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
def test_estimators_meet_the_exact_value(estimate, classes):
    model, x, y, exact = linear_model(classes)
    runs = torch.stack([estimate(model, x, y).value for _ in range(4)])
    assert runs.shape == (4, 7)
    error = runs.std(0).mean().clamp(min=0.002)  # of one estimate, pooled over the images
    assert ((runs.mean(0) - exact).abs() < 4 * error).all()
    assert error < 0.1
    if classes:
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


def test_importance_weighted_bound_is_the_same_in_pieces(linear_gaussian, monkeypatch):
    model, x, exact = linear_gaussian
    monkeypatch.setattr("vae_exp.evaluation.marginal_likelihood.DECODED_AT_ONCE", 21)
    torch.testing.assert_close(importance_weighted(model, x, None, 5000).value, exact, atol=0.1, rtol=0)


def test_annealing_does_not_need_a_good_encoder(linear_gaussian):
    model, x, exact = linear_gaussian
    nn.init.zeros_(model.encoder.linears[0].weight)
    torch.testing.assert_close(annealed(model, x, None, 200, 100).value, exact, atol=0.3, rtol=0)


def test_hmc_samples_a_normal_and_reaches_its_rate():
    torch.manual_seed(0)
    target = MultivariateNormal(torch.tensor([1.0, -2.0]), torch.tensor([[1.0, 0.6], [0.6, 0.8]]))
    adapted = hmc(target.log_prob, start_chains(torch.zeros(500, 3, 2)), 100, 5, target=0.9)
    assert adapted.acceptance.mean().item() == pytest.approx(0.9, abs=0.05)
    chains = hmc(target.log_prob, adapted, 50, 5)
    assert torch.equal(chains.step_size, adapted.step_size)
    samples = chains.z.flatten(0, 1)
    torch.testing.assert_close(samples.mean(0), target.mean, atol=0.1, rtol=0)
    torch.testing.assert_close(samples.T.cov(), target.covariance_matrix, atol=0.12, rtol=0)


def test_trajectories_do_not_go_in_circles():
    """Five steps of π/5 are half a period of N(0, I): a trajectory of one length ends opposite of where it began."""
    torch.manual_seed(0)
    start = Chains(torch.tensor([5.0, 0.0]).expand(300, 1, 2), torch.tensor([math.pi / 5]), torch.zeros(1))
    moved = hmc(lambda z: -0.5 * z.square().sum(-1), start, 20, 5)
    assert moved.z.square().sum(-1).mean().item() == pytest.approx(2, abs=0.4)


@pytest.mark.parametrize("classes", [0, 3])
def test_without_an_encoder_the_posterior_is_found_by_hmc(classes):
    """The model is linear, so the best normal with independent components has known moments."""
    model, x, y, exact = linear_model(classes)
    weight, bias = model.decoder.parameters()
    W, of_classes = weight.detach().split([3, classes], 1)
    model._q = HMCPosterior(model._joint)
    b = bias + (of_classes.T[y] if classes else 0)
    covariance = torch.linalg.inv(torch.eye(3, dtype=torch.float64) + W.T @ W / NOISE**2)
    torch.manual_seed(0)
    q = model.posterior(x, y)
    torch.testing.assert_close(q.mean, (x.flatten(1) - b) @ W @ covariance / NOISE**2, atol=0.25, rtol=0)
    torch.testing.assert_close(q.stddev, covariance.diagonal().sqrt().expand(7, 3), atol=0.05, rtol=0.3)
    with torch.no_grad():
        terms = SGVBB(4000)(x, lambda _: q, model.prior, lambda z: model.decode(z, y))
    bounds = -(terms["nll"] + terms["kl"])
    assert (bounds < exact).all()
    assert (bounds > exact - 3).all()  # what a diagonal covariance loses


def test_chains_begin_in_the_mode_that_holds_the_mass():
    """Two digits' worth of latents explain an image nearly: one of them a little better, far away."""
    model = VAE(SHAPE, 0, MLP([]), Linear(), SGVBB(), latent_dim=1).eval()
    x = torch.full((5, *SHAPE), 0.9)

    class Folded(nn.Module):
        def forward(self, z):
            peak = 0.8 * torch.exp(-50 * (z + 2).square()) + torch.exp(-50 * (z - 1.5).square())
            return peak[:, :, None, None].expand(-1, *SHAPE)

    model.decoder = Folded()
    z = starting_points(model.joint, x, None, 100)
    assert z.shape == (100, 5, 1)
    assert ((z - 1.5).abs() < 0.5).double().mean() > 0.5
    assert (((z - 1.5).abs() < 0.5) | ((z + 2).abs() < 0.5)).all()

    # an encoder that is sure of the other one loses what lies in this one
    with torch.no_grad():
        (linear,) = model.encoder.linears
        linear.weight.zero_()
        linear.bias.copy_(torch.tensor([-2.0, -6.0]))
    lower, right = (by_posterior_samples(model, x, None, begin_at=at).value.mean() for at in ("encoder", "prior"))
    assert lower < right - 0.1


@pytest.mark.parametrize("training", [False, True])
def test_samplers_follow_the_gradient_of_the_joint_density(training):
    """Against finite differences, where half of the σ lie below their floor."""
    torch.manual_seed(0)
    model = VAE(SHAPE, 0, MLP([], init_std=None), Gaussian(min_std=0.5), SGVBB(), latent_dim=3).double()
    model.train(training)
    with torch.no_grad():
        model.decoder.layers[0].bias.copy_(torch.cat([torch.zeros(6), torch.tensor([-3.0, 0.0] * 3)]))
    x, z = torch.rand(5, *SHAPE, dtype=torch.float64), torch.randn(4, 5, 3, dtype=torch.float64)
    _, found = _with_gradient(lambda z: model.joint.log_density(x, z), z)
    step = 1e-6 * torch.eye(3, dtype=torch.float64)
    with torch.no_grad():
        slopes = [(model.joint.log_density(x, z + h) - model.joint.log_density(x, z - h)) / 2e-6 for h in step]
    torch.testing.assert_close(found, torch.stack(slopes, -1), rtol=1e-6, atol=1e-6)
    assert model.likelihood.training == training


def test_posterior_samples_are_for_few_latents():
    model = VAE(SHAPE, 0, MLP([4]), Linear(), SGVBB(), latent_dim=5).eval()
    with pytest.raises(UserError, match="fewer than 5 latents"):
        by_posterior_samples(model, torch.rand(2, *SHAPE), None)
