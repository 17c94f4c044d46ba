"""Priors and posteriors in models: on a linear Gaussian model log p(x) is known, and no pair exceeds it."""

import math

import pytest
import torch
from latents import POSTERIORS, PRIORS, disturb, pace
from linear_gaussian import Linear
from torch import nn

from vae_exp.architecture import M2, VAE
from vae_exp.errors import ConfigError
from vae_exp.evaluation.marginal_likelihood import annealed, importance_weighted
from vae_exp.likelihood import Bernoulli
from vae_exp.network import MLP
from vae_exp.objective import IWAE, MCEM, SGVBA, SGVBB, WakeSleep
from vae_exp.posterior.diagonal import Diagonal
from vae_exp.prior.standard import StandardNormal

PIXELS, NOISE, IMAGES = 5, 0.7, 6


def linear_vae(prior, posterior, objective=None, wider=1.0, correlation=0.0):
    """p(x|z) = N(Wz + b, σ²I) of two latents, and an encoder near p(z|x) for p(z) = N(0, I), with larger variances."""
    torch.manual_seed(3)
    parts = {"prior": PRIORS[prior], "posterior": POSTERIORS[posterior]}
    model = VAE((1, PIXELS, 1), 0, MLP([], init_std=None), Linear(NOISE), objective or SGVBB(), 2, **parts).double()
    torch.manual_seed(4)
    W, b = (parameter.detach() for parameter in model.decoder.parameters())
    W.normal_()
    W[:, 1] += correlation * W[:, 0]
    b.normal_()
    x = b + torch.randn(IMAGES, 2, dtype=torch.float64) @ W.T + NOISE * torch.randn(IMAGES, PIXELS).double()
    precision = torch.eye(2, dtype=torch.float64) + W.T @ W / NOISE**2
    V = torch.linalg.solve(precision, W.T) / NOISE**2
    (linear,) = model.encoder.linears
    with torch.no_grad():
        linear.weight.mul_(0.1 / pace(model.q_z))
        linear.bias.mul_(0.1 / pace(model.q_z))
        linear.weight[:2], linear.bias[:2] = V, -V @ b
        linear.weight[2:4], linear.bias[2:4] = 0, wider - precision.diagonal().log()
    disturb(model.q_z, 0.1)
    disturb(model.p_z, 0.1)
    return model.eval(), x.view(-1, 1, PIXELS, 1), precision


@torch.no_grad()
def log_likelihood(model, x):
    """log p(x) by an integral over a grid of latents."""
    axis = torch.linspace(-9, 9, 361, dtype=torch.float64)
    z = torch.cartesian_prod(axis, axis)
    log_prior = model.prior.log_prob(z)
    values = [log_prior + model.decode(z).log_prob(image.expand(len(z), *image.shape)) for image in x]
    return torch.stack([value.logsumexp(0) for value in values]) + 2 * math.log(axis[1] - axis[0])


def mean_bound(model, x, draws=4000):
    terms = SGVBA(draws)(x, model.posterior, model.prior, model.decode)
    return -(terms["nll"] + terms["kl"])


@torch.no_grad()
def test_the_full_covariance_closes_the_bound_and_the_diagonal_keeps_its_gap():
    model, x, precision = linear_vae("standard", "full_covariance", correlation=1.0)
    (linear,) = model.encoder.linears
    tril = torch.linalg.cholesky(precision.inverse())
    linear.weight[4:], linear.weight[2:4] = 0, 0
    linear.bias[2:4], linear.bias[4:] = 2 * tril.diagonal().log(), tril[1, 0]
    expected = log_likelihood(model, x)
    torch.testing.assert_close(mean_bound(model, x, 2), expected, atol=1e-3, rtol=0)  # log p(x, z)/q(z|x) is constant

    # the best diagonal posterior has the precisions of p(z|x), and is KL(q‖p) = ½ (Σ log Λ_ii − log |Λ|) away
    model, x, precision = linear_vae("standard", "diagonal", wider=0.0, correlation=1.0)
    gap = 0.5 * (precision.diagonal().log().sum() - precision.logdet())
    torch.manual_seed(0)
    terms = SGVBB(20_000)(x, model.posterior, model.prior, model.decode)
    assert gap > 0.1
    torch.testing.assert_close(-(terms["nll"] + terms["kl"]), expected - gap, atol=0.05, rtol=0)


PAIRS = [(prior, "diagonal") for prior in PRIORS] + [("standard", posterior) for posterior in POSTERIORS]
PAIRS += [("vamp", "iaf"), ("nsf", "spline"), ("mixture", "sylvester"), ("vamp", "full_covariance")]


@pytest.mark.parametrize(("prior", "posterior"), sorted(set(PAIRS)))
@torch.no_grad()
def test_the_importance_weighted_bound_meets_log_p(prior, posterior):
    model, x, _ = linear_vae(prior, posterior)
    expected = log_likelihood(model, x)
    torch.manual_seed(0)
    found = importance_weighted(model, x, None, 3000)
    assert ((found.value - expected).abs() < 5 * found.error + 1e-4).all()
    assert found.error.mean() < 0.1
    assert (mean_bound(model, x, 1000) < expected + 0.05).all()


@pytest.mark.parametrize("prior", ["mixture", "vamp", "maf"])
def test_annealed_importance_sampling_meets_log_p(prior):
    model, x, _ = linear_vae(prior, "diagonal")
    expected = log_likelihood(model, x)
    torch.manual_seed(0)
    found = annealed(model, x, None, chains=16, temperatures=30)
    assert ((found.value - expected).abs() < 5 * found.error + 0.02).all()


@pytest.mark.parametrize("objective", [SGVBA, SGVBB, IWAE])
def test_every_parameter_is_trained(objective):
    model, x, _ = linear_vae("mixture", "sylvester", objective(1))
    sum(term.sum() for term in model.train().terms(x).values()).backward()
    gradients = {name: p.grad for name, p in model.named_parameters()}
    assert {name for name in gradients if name.startswith("p_z")} == {
        "p_z.logits",
        "p_z.loc.value",
        "p_z.log_variance.value",
    }
    assert all(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients.values())


def test_the_standard_prior_and_the_diagonal_posterior_have_no_weights():
    model, _, _ = linear_vae("standard", "diagonal")
    assert {name.partition(".")[0] for name in model.state_dict()} == {"encoder", "decoder"}


def vae(objective, prior="standard", posterior="diagonal", **options):
    parts = {"prior": PRIORS.get(prior, StandardNormal), "posterior": POSTERIORS.get(posterior, Diagonal)}
    return VAE((1, 2, 2), 3, MLP([]), Bernoulli(), objective, 2, **parts, **options)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: vae(MCEM(), posterior="iaf"), "^posterior: MCEM has no encoder"),
        (lambda: vae(MCEM(), prior="maf"), "^prior: this Flow has to be trained, and MCEM"),
        (lambda: vae(MCEM(), prior="vamp"), "^prior: this Vamp has to be trained, and MCEM"),
        (lambda: vae(WakeSleep(), prior="mixture"), "^prior: this Mixture has to be trained, and WakeSleep"),
        (lambda: vae(WakeSleep(), posterior="planar"), "^posterior: WakeSleep needs log q"),
        (lambda: vae(SGVBB(), prior="vamp", conditional=True), "^prior: this Vamp is made of q.*no label"),
        (lambda: vae(SGVBB(), prior="mixture", free_bits=0.1), "^architecture.free_bits=0.1: .*only prior=standard"),
        (lambda: vae(SGVBB(), posterior="full_covariance", free_bits=0.1), "^architecture.free_bits=0.1: "),
        (
            lambda: M2((1, 2, 2), 3, MLP([]), Bernoulli(), SGVBB(), 2, prior=PRIORS["vamp"]),
            "^prior: this Vamp is made of q",
        ),
    ],
)
def test_what_has_no_meaning_is_refused_with_the_reason(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


@pytest.mark.parametrize("posterior", ["full_covariance", "spline"])
def test_wake_sleep_takes_a_posterior_with_a_density(posterior):
    model = vae(WakeSleep(), posterior=posterior)
    assert all(term.shape == (4,) for term in model.terms(torch.rand(4, 1, 2, 2)).values())


def test_the_labels_of_a_model_without_labels_are_empty():
    model = vae(SGVBB())
    assert isinstance(model, nn.Module)
    assert model._context(None, 3).shape == (3, 0)
