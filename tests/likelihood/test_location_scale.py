import pytest
import torch

from vae_exp.errors import ConfigError
from vae_exp.likelihood.laplace import Laplace
from vae_exp.likelihood.student import Student

KINDS = [Laplace, Student]
SHAPE = (1, 3, 2)


def doubles(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("loc", "log_scale"), [(0.0, 0.0), (-3.0, -2.0), (2.0, -9.0)])
def test_it_integrates_to_one(kind, loc, log_scale):
    features = torch.tensor([loc, log_scale], dtype=torch.float64).view(1, 2, 1, 1)
    p = kind().eval()(features)
    t = torch.linspace(-16, 16, 100_001, dtype=torch.float64)  # x = μ + s·sinh(t): the tails are long
    scale = max(torch.tensor(log_scale, dtype=torch.float64).exp().item(), 0.01)
    x = p.mean.flatten() + scale * t.sinh()
    density = p.log_prob(x.view(-1, 1, 1, 1)).exp() * scale * t.cosh()
    assert torch.trapezoid(density, t).item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_is_finite_at_the_edges_and_at_the_location(kind):
    features = doubles(3, 2, 3, 2).requires_grad_()
    p = kind()(features)
    for x in (torch.zeros(3, *SHAPE), torch.ones(3, *SHAPE), p.mean.detach()):
        (gradient,) = torch.autograd.grad(p.log_prob(x).sum(), features, retain_graph=True)
        assert gradient.isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_slope_at_the_floor_is_the_derivative_by_the_logarithm_of_the_scale(kind):
    likelihood, x = kind(min_scale=0.1).double(), torch.rand(4, *SHAPE, dtype=torch.float64)
    at_floor = torch.full((4, 1, 3, 2), 0.1, dtype=torch.float64).log().requires_grad_()
    loc = doubles(4, 1, 3, 2)
    p = likelihood.eval()(torch.cat([loc, at_floor + 1e-12], 1))
    (true,) = torch.autograd.grad(p.log_prob(x).sum(), at_floor)
    below = torch.full((4, 1, 3, 2), -30.0, dtype=torch.float64, requires_grad=True)
    p = likelihood.train()(torch.cat([loc, below], 1))
    (raised,) = torch.autograd.grad(p.log_prob(x).sum(), below)
    assert (true > 0).any()
    assert (true < 0).any()
    torch.testing.assert_close(raised, true.clamp(min=0))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", ["learned", "shared", "fixed"])
def test_training_changes_the_gradient_below_the_floor_alone(kind, width):
    likelihood = kind(width, scale=0.5, min_scale=0.1).double()
    features = doubles(5, likelihood.parameters_per_pixel, 3, 2)
    features[:, 1:, 0] = -30
    x, found = torch.rand(5, *SHAPE, dtype=torch.float64), []
    for mode in (True, False):
        leaf = features.clone().requires_grad_()
        p = likelihood.train(mode)(leaf)
        (gradient,) = torch.autograd.grad(p.log_prob(x).sum(), leaf)
        torch.manual_seed(0)
        numbers = [p.log_prob(x), p.mean, p.variance, p.sample((2,)), gradient[:, :, 1:], gradient[:, :1]]
        found.append([*numbers, torch.tensor(likelihood.diagnostics(p)["share_at_min_scale"])])
    for trained, evaluated in zip(*found, strict=True):
        assert torch.equal(trained, evaluated)
    assert found[0][-1] == (1 / 3 if width == "learned" else 0)
    assert sum(parameter.requires_grad for parameter in likelihood.parameters()) == (width == "shared")


@pytest.mark.parametrize("kind", KINDS)
def test_a_scale_below_its_floor_is_refused(kind):
    with pytest.raises(ConfigError, match=r"likelihood\.scale=0\.001"):
        kind("fixed", scale=0.001)


@pytest.mark.parametrize("kind", KINDS)
def test_it_explains_all_numbers_if_its_mean_does(kind):
    assert (kind().support, kind(mean="identity").support) == ("unit", "real")
    assert (kind().unbounded, kind("shared").unbounded, kind("fixed").unbounded) == (True, True, False)
