"""Every family of posteriors: its density is that of its draws, by the Jacobian of every step."""

import pytest
import torch
from latents import POSTERIORS, posterior
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence
from torch.func import jacrev, vmap

from vae_exp.posterior.planar import Planar
from vae_exp.posterior.pushforward import InvertibleStep
from vae_exp.posterior.sylvester import Sylvester
from vae_exp.prior.kl import draws_and_kl

FLOWS = ("planar", "sylvester", "householder", "iaf", "spline")
WITH_DENSITY = ("diagonal", "full_covariance", "spline")


@pytest.mark.parametrize("latent_dim", [1, 4])
@pytest.mark.parametrize("name", FLOWS)
def test_the_log_determinant_is_that_of_autograds_jacobian(name, latent_dim):
    q, _ = posterior(name, latent_dim)
    z = 2 * torch.randn(5, latent_dim, dtype=torch.float64)
    for step in q.steps:
        moved, log_det = step(z)

        def one(latents, image, step=step):
            return step(latents.expand(5, -1))[0][image]

        jacobian = torch.stack([jacrev(one)(z[i], i) for i in range(5)])
        sign, expected = torch.linalg.slogdet(jacobian)
        assert (sign > 0).all()
        torch.testing.assert_close(log_det, expected)
        z = moved


@pytest.mark.parametrize("name", FLOWS)
def test_a_step_is_invertible_for_large_features_too(name):
    q, _ = posterior(name, 3, images=500, scale=3.0)
    z = 3 * torch.randn(500, 3, dtype=torch.float64)
    for step in q.steps:
        moved, log_det = step(z)
        assert log_det.isfinite().all()
        z = moved


def test_the_inverse_is_that_of_the_step():
    q, _ = posterior("spline", 3)
    z = 2 * torch.randn(7, 5, 3, dtype=torch.float64)
    for step in q.steps:
        assert isinstance(step, InvertibleStep)
        moved, log_det = step(z)
        back, log_det_back = step.inverse(moved)
        torch.testing.assert_close(back, z)
        torch.testing.assert_close(log_det_back, log_det)
        z = moved


@pytest.mark.parametrize("name", POSTERIORS)
@torch.no_grad()
def test_it_integrates_to_one(name):
    """E_q[p(z)/q(z)] = 1 for a p that is narrower than q."""
    q, _ = posterior(name, 2, images=3, scale=0.3)
    z, log_q = q.rsample_and_log_prob((40_000,))
    narrow = Independent(Normal(z.mean(0), 0.5 * z.std(0)), 1)
    ratios = (narrow.log_prob(z) - log_q).exp()
    error = ratios.std(0) / len(z) ** 0.5
    assert (error < 0.05).all()
    assert ((ratios.mean(0) - 1).abs() < 5 * error).all()


@pytest.mark.parametrize("name", WITH_DENSITY)
@torch.no_grad()
def test_the_density_at_any_latent_integrates_to_one(name):
    q, _ = posterior(name, 2, images=1)
    axis = torch.linspace(-8, 8, 401, dtype=torch.float64)
    density = q.log_prob(torch.cartesian_prod(axis, axis)[:, None]).exp()
    assert (density.sum() * (axis[1] - axis[0]) ** 2).item() == pytest.approx(1, abs=2e-3)
    assert q.tractable is q


@pytest.mark.parametrize("name", POSTERIORS)
def test_draws_are_the_same_with_their_density(name):
    q, features = posterior(name, 3)
    torch.manual_seed(0)
    z, log_q = q.rsample_and_log_prob((4,))
    torch.manual_seed(0)
    assert torch.equal(q.rsample((4,)), z)
    torch.manual_seed(0)
    assert torch.equal(q.sample((4,)), z)
    assert z.shape == (4, 5, 3)
    assert log_q.shape == (4, 5)
    assert q.mean.shape == (5, 3)
    if name in WITH_DENSITY:
        torch.testing.assert_close(q.log_prob(z), log_q)
    else:
        with pytest.raises(NotImplementedError, match="only at draws"):
            q.log_prob(z)
        assert q.tractable is q.base
    (gradient,) = torch.autograd.grad(z.sum() + log_q.sum(), features)
    assert gradient.isfinite().all()
    if name not in ("iaf", "spline"):  # a masked network may leave a feature of the image out
        assert (gradient.abs().sum(0) > 0).all()


def correlated():
    q, _ = posterior("full_covariance", 3)
    return q, MultivariateNormal(q.loc, scale_tril=q.tril)


def test_the_full_covariance_is_that_of_torch():
    q, theirs = correlated()
    z = torch.randn(6, 5, 3, dtype=torch.float64)
    torch.testing.assert_close(q.log_prob(z), theirs.log_prob(z))
    torch.testing.assert_close(q.closed_log_variance().exp(), theirs.variance)


def test_the_closed_kl_of_correlated_latents_is_torchs_and_that_of_draws():
    q, theirs = correlated()
    loc, std = torch.tensor([0.5, -1.0, 0.0]).double(), torch.tensor([0.7, 1.0, 2.0]).double()
    p = Independent(Normal(loc, std), 1)
    closed = q.closed_kl(p)
    torch.testing.assert_close(closed, kl_divergence(theirs, MultivariateNormal(loc, scale_tril=std.diag())))
    z, log_q = q.rsample_and_log_prob((50_000,))
    sampled = log_q - p.log_prob(z)
    assert ((sampled.mean(0) - closed).abs() < 5 * sampled.std(0) / 50_000**0.5).all()
    torch.testing.assert_close(draws_and_kl(q, p, 2)[1], closed)


def test_the_columns_of_a_sylvester_step_are_orthonormal():
    for name, columns in (("sylvester", 2), ("householder", 4)):
        family = POSTERIORS[name](4).double()
        q = family.rotation(torch.randn(9, family.transforms, family.rotation.features, dtype=torch.float64))
        assert q.shape == (9, family.transforms, 4, columns)
        torch.testing.assert_close(q.mT @ q, torch.eye(columns, dtype=torch.float64).expand_as(q.mT @ q))


def test_the_columns_of_a_sylvester_step_do_not_jump_between_similar_images():
    rotation = Sylvester(4, vectors=3, transforms=2).double().rotation
    first, last = torch.randn(2, 20, 1, 2, rotation.features, dtype=torch.float64)
    q = rotation(torch.lerp(first, last, torch.linspace(0, 1, 5001, dtype=torch.float64)[:, None, None]))
    assert q.diff(dim=1).abs().max() < 1  # a column of another sign moves an entry by 1 or more


def test_the_steps_of_a_sylvester_flow_begin_at_all_latents():
    rotation = Sylvester(6, vectors=2, transforms=3).rotation
    q = rotation(torch.zeros(3, rotation.features))
    assert q.abs().sum((0, 2)).tolist() == [1.0] * 6


@pytest.mark.parametrize("build", [Planar, Sylvester])
def test_features_as_large_as_one_move_a_draw_by_less_than_half_of_its_standard_deviation(build):
    """Otherwise the first updates of Adagrad, with its step of 0.02, move the latents by many standard deviations."""
    family = build(64)
    features = torch.cat([torch.zeros(100, 128), torch.randn(100, family.features - 128)], -1)
    q = family(features)
    z = moved = q.base.rsample()
    for step in q.steps:
        moved, _ = step(moved)
    assert (moved - z).square().mean().sqrt() < 0.5


def test_a_planar_flow_is_the_identity_if_every_u_is_zero():
    family = Planar(3, transforms=4).double()
    features = torch.randn(5, family.features, dtype=torch.float64)
    for step in features[:, 6:].split(8, -1):
        step[:, :3] = 0
    z = torch.randn(7, 5, 3, dtype=torch.float64)
    for step in family(features).steps:
        moved, log_det = step(z)
        torch.testing.assert_close(moved, z)
        torch.testing.assert_close(log_det, torch.zeros_like(log_det))


def test_a_planar_flow_begins_along_the_latents_in_turn_also_if_all_features_are_zero():
    family = Planar(3, transforms=4)
    features = torch.zeros(2, family.features, requires_grad=True)
    q = family(features)
    assert torch.stack([step.w[0] for step in q.steps]).tolist() == torch.eye(3)[[0, 1, 2, 0]].tolist()
    z, log_q = q.rsample_and_log_prob(())
    (gradient,) = torch.autograd.grad(z.sum() + log_q.sum(), features)
    assert z.isfinite().all()
    assert gradient.isfinite().all()


def test_latents_are_correlated_by_the_autoregressive_steps():
    q, _ = posterior("iaf", 3, images=1)
    one = vmap(jacrev(lambda z: q.steps[0](z[None])[0][0]))(torch.randn(4, 3, dtype=torch.float64))
    assert (one.triu(1) == 0).all()
    assert (one.tril(-1) != 0).any()
