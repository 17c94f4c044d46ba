import math
from itertools import pairwise

import pytest
import torch
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from vae_exp.architecture import VAE
from vae_exp.hmc import Chains, hmc
from vae_exp.likelihood import Bernoulli
from vae_exp.network import MLP
from vae_exp.network.bayesian import kl_of_weights, make_gaussian
from vae_exp.objective import IWAE, MCEM, SGVBA, SGVBB, FullVB, WakeSleep
from vae_exp.posterior.amortized import AmortizedPosterior
from vae_exp.prior.normal import DiagonalNormal, kl_of_normals

B, D = 4, 3


@pytest.fixture
def problem():
    torch.manual_seed(0)
    mean, std = torch.randn(B, D, dtype=torch.float64), torch.rand(B, D, dtype=torch.float64) + 0.2
    q = DiagonalNormal(mean, 2 * std.log())
    p = Independent(Normal(torch.zeros(D, dtype=torch.float64), torch.ones(D, dtype=torch.float64)), 1)
    weight = torch.randn(D, 4, dtype=torch.float64)
    x = torch.rand(B, 1, 2, 2, dtype=torch.float64)
    return x, lambda _: q, p, lambda z: Bernoulli()((z @ weight).unflatten(-1, (1, 2, 2)))


def test_closed_kl_is_equation_10(problem):
    x, encode, p, decode = problem
    q = encode(x)
    mean, variance = q.mean, q.variance
    expected = -0.5 * (1 + variance.log() - mean.square() - variance).sum(1)
    torch.testing.assert_close(SGVBB()(x, encode, p, decode)["kl"], expected)


def test_closed_kl_between_any_two_normals_is_torchs():
    torch.manual_seed(0)
    q, p = (Independent(Normal(torch.randn(B, D), torch.rand(B, D) + 0.2), 1) for _ in range(2))
    found = kl_of_normals(DiagonalNormal(q.mean, 2 * q.stddev.log()), p)
    torch.testing.assert_close(found, kl_divergence(q, p))


class Told(torch.nn.Module):
    """An encoder that says of every image what it was told: μ and log σ²."""

    def __init__(self, mean, log_variance):
        super().__init__()
        self.features = torch.nn.Parameter(torch.tensor([mean, log_variance]))

    def forward(self, x, c):
        return self.features.expand(len(x), -1)


def negative_log_likelihood(z):
    """A white pixel whose logit is z costs this."""
    return torch.nn.functional.softplus(-z)


def log_prior(z):
    return -0.5 * (z.square() + math.log(2 * math.pi))


def log_posterior(noise, log_variance):
    return -0.5 * (noise.square() + log_variance + math.log(2 * math.pi))


def in_float64(objective, mean, log_variance):
    """The loss by the equations, at the draws that the objective makes in float32 with the seed 1."""
    torch.manual_seed(1)
    noise = torch.randn(objective.samples, 1, 1).double()
    if isinstance(objective, WakeSleep):
        u = torch.randn(1, 1, 1).double() - mean
        z = (mean + torch.exp(0.5 * log_variance) * noise).detach()
        sleep = 0.5 * (u.square() * torch.exp(-log_variance) + log_variance + math.log(2 * math.pi))
        return (negative_log_likelihood(z) + sleep).sum()
    z = mean + torch.exp(0.5 * log_variance) * noise
    if isinstance(objective, SGVBB):
        kl = -0.5 * (1 + log_variance - mean.square() - log_variance.exp())
        return negative_log_likelihood(z).sum() + kl
    log_weights = -negative_log_likelihood(z) + log_prior(z) - log_posterior(noise, log_variance)
    if isinstance(objective, SGVBA):
        return -log_weights.sum()
    return math.log(objective.samples) - log_weights.logsumexp(0).sum()


@pytest.mark.parametrize("log_variance", range(-200, 81, 20))
@pytest.mark.parametrize("objective", [SGVBA(), SGVBB(), IWAE(3), WakeSleep()], ids=lambda o: type(o).__name__)
def test_loss_and_gradient_are_right_at_any_posterior_variance(objective, log_variance):
    """Those of float64, rounded to float32: infinite where that has no such number, and never NaN."""
    model = VAE((1, 1, 1), 0, MLP([]), Bernoulli(), objective, latent_dim=1)
    encoder = Told(0.7, float(log_variance))
    model._q = AmortizedPosterior(encoder)
    model.decoder = torch.nn.Unflatten(1, (1, 1, 1))
    torch.manual_seed(1)
    loss = sum(term.sum() for term in model.terms(torch.ones(1, 1, 1, 1)).values())
    (gradient,) = torch.autograd.grad(loss, encoder.features)
    exact = torch.tensor([0.7, float(log_variance)], dtype=torch.float64, requires_grad=True)
    exact_loss = in_float64(objective, *exact)
    (exact_gradient,) = torch.autograd.grad(exact_loss, exact)
    torch.testing.assert_close(loss, exact_loss.float(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(gradient, exact_gradient.float(), rtol=1e-4, atol=1e-5)


def test_closed_kl_is_exact_also_where_the_posterior_is_nearly_the_prior():
    log_variance = torch.tensor([[1e-3]])
    p = Independent(Normal(torch.zeros(1), torch.ones(1)), 1)
    kl = kl_of_normals(DiagonalNormal(torch.zeros(1, 1), log_variance), p)
    s = log_variance.double()
    torch.testing.assert_close(kl.double(), -0.5 * (1 + s - s.exp())[0], rtol=1e-3, atol=0)


def test_closed_kl_against_monte_carlo(problem):
    x, encode, p, decode = problem
    q = encode(x)
    z = q.sample((400_000,))
    draws = q.log_prob(z) - p.log_prob(z)
    error = draws.std(0) / len(z) ** 0.5
    assert ((SGVBB()(x, encode, p, decode)["kl"] - draws.mean(0)).abs() < 5 * error).all()


def test_estimators_a_and_b_agree_in_expectation(problem):
    a, b = SGVBA(samples=200_000)(*problem), SGVBB(samples=200_000)(*problem)
    assert a.keys() == b.keys() == {"nll", "kl"}
    for name in a:
        assert a[name].shape == (B,)
        torch.testing.assert_close(a[name], b[name], rtol=0.02, atol=0.02)


def test_more_samples_lower_the_variance_of_the_estimate(problem):
    def spread(samples):
        return torch.stack([SGVBA(samples)(*problem)["nll"] for _ in range(300)]).std(0).mean().item()

    assert spread(16) == pytest.approx(spread(1) / 4, rel=0.3)


@pytest.mark.parametrize("objective", [SGVBA, SGVBB])
def test_reparameterised_gradients_against_finite_differences(objective):
    """∂/∂(μ, log σ²) of the estimate, with the same noise on both sides."""
    torch.manual_seed(0)
    x = torch.rand(B, 1, 2, 2, dtype=torch.float64)
    weight = torch.randn(D, 4, dtype=torch.float64)
    zero, one = torch.zeros(D, dtype=torch.float64), torch.ones(D, dtype=torch.float64)

    def estimate(mean, log_variance):
        torch.manual_seed(1)
        q = DiagonalNormal(mean, log_variance)
        terms = objective(samples=2)(
            x,
            lambda _: q,
            Independent(Normal(zero, one), 1),
            lambda z: Bernoulli()((z @ weight).unflatten(-1, (1, 2, 2))),
        )
        return terms["nll"] + terms["kl"]

    statistics = [torch.randn(B, D, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    assert torch.autograd.gradcheck(estimate, statistics)


def test_evaluation_is_by_estimator_b_whatever_was_trained_on(problem):
    for objective in (SGVBA(3), IWAE(3), WakeSleep(3)):
        torch.manual_seed(1)
        expected = SGVBB(1)(*problem)
        torch.manual_seed(1)
        found = objective.bound(*problem)
        assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_one_importance_sample_is_estimator_a(problem):
    torch.manual_seed(1)
    a = SGVBA()(*problem)
    torch.manual_seed(1)
    torch.testing.assert_close(IWAE(1)(*problem)["iwae"], a["nll"] + a["kl"])


def test_importance_weighted_bound_rises_to_the_exact_evidence():
    """x = z·w + noise: log p(x) is that of a normal."""
    torch.manual_seed(0)
    w, noise = torch.randn(D, 4, dtype=torch.float64), 0.7
    p = Independent(Normal(torch.zeros(D, dtype=torch.float64), torch.ones(D, dtype=torch.float64)), 1)
    x = torch.randn(B, 4, dtype=torch.float64)
    q = DiagonalNormal(torch.zeros(B, D, dtype=torch.float64), torch.tensor(2 * math.log(0.8)))
    exact = MultivariateNormal(torch.zeros(4, dtype=torch.float64), w.T @ w + noise**2 * torch.eye(4)).log_prob(x)

    def bound(k):
        return -IWAE(k)(x, lambda _: q, p, lambda z: Independent(Normal(z @ w, noise), 1))["iwae"]

    few, many = torch.stack([bound(2) for _ in range(2000)]).mean(0), bound(300_000)
    assert (few < many).all()
    torch.testing.assert_close(many, exact, atol=0.05, rtol=0)


class TestWakeSleep:
    """Encoder and decoder as two matrices, so that each gradient can be told from the other."""

    @pytest.fixture
    def parts(self):
        torch.manual_seed(0)
        V, W = torch.randn(4, D, requires_grad=True), torch.randn(D, 4, requires_grad=True)
        p = Independent(Normal(torch.zeros(D), torch.ones(D)), 1)
        x = (torch.rand(B, 1, 2, 2) > 0.5).float()
        return (
            V,
            W,
            (
                x,
                lambda x: DiagonalNormal(x.flatten(1) @ V, torch.tensor(2 * math.log(0.5))),
                p,
                lambda z: Bernoulli()((z @ W).unflatten(-1, (1, 2, 2))),
            ),
        )

    def test_no_gradient_leaks_between_the_phases(self, parts):
        V, W, problem = parts
        terms = WakeSleep()(*problem)
        wake, sleep = (torch.autograd.grad(t.sum(), [V, W], allow_unused=True) for t in terms.values())
        assert wake[0] is None
        assert sleep[1] is None
        assert wake[1].any()
        assert sleep[0].any()

    def test_one_backward_is_both_phases(self, parts):
        V, W, problem = parts
        torch.manual_seed(1)
        together = torch.autograd.grad(sum(t.sum() for t in WakeSleep()(*problem).values()), [V, W])
        torch.manual_seed(1)
        terms = WakeSleep()(*problem)
        torch.testing.assert_close(together[0], torch.autograd.grad(terms["sleep"].sum(), V)[0])
        torch.testing.assert_close(together[1], torch.autograd.grad(terms["wake"].sum(), W)[0])

    @pytest.mark.parametrize(("dream", "grey"), [("sample", False), ("mean", True)])
    def test_a_dream_is_a_draw_or_the_mean(self, parts, dream, grey):
        _, _, (x, encode, p, decode) = parts
        seen = []
        WakeSleep(dream=dream)(x, lambda x: seen.append(x) or encode(x), p, decode)
        awake, asleep = seen
        assert torch.equal(awake, x)
        assert asleep.shape == x.shape
        assert bool(((asleep > 0) & (asleep < 1)).all()) == grey
        assert bool(((asleep == 0) | (asleep == 1)).all()) == (not grey)

    def test_terms_are_the_expectations_that_they_name(self, parts):
        _, _, (x, encode, p, decode) = parts
        z, dreamt = encode(x).sample((50_000,)), p.sample((50_000,))
        wake = -decode(z).log_prob(x).mean(0)
        sleep = -encode(decode(dreamt).sample()).log_prob(dreamt).mean()
        torch.testing.assert_close(WakeSleep(50_000)(x, encode, p, decode)["wake"], wake, rtol=0.02, atol=0.02)
        draws = torch.stack([WakeSleep()(x, encode, p, decode)["sleep"].mean() for _ in range(4000)])
        assert draws.mean().item() == pytest.approx(sleep.item(), abs=5 * draws.std().item() / 4000**0.5)


class TestFullVB:
    @pytest.fixture
    def model(self):
        torch.manual_seed(0)
        return VAE((1, 2, 2), 0, MLP([3], init_std=None), Bernoulli(), FullVB(weight_std=0.3), latent_dim=2).double()

    def test_kl_of_the_weights_is_that_of_torch(self, model):
        posteriors = [
            Normal(p.original, p[0].log_std.exp())
            for p in model.decoder.modules()
            if isinstance(p, torch.nn.utils.parametrize.ParametrizationList)
        ]
        assert sum(q.loc.numel() for q in posteriors) == 3 * 2 + 3 + 4 * 3 + 4
        for precision in (1.0, 4.0):
            expected = sum(kl_divergence(q, Normal(0.0, precision**-0.5)).sum() for q in posteriors)
            torch.testing.assert_close(kl_of_weights(model.decoder, precision), expected)

    def test_kl_of_the_weights_against_monte_carlo(self, model):
        (q,) = list(model.decoder.layers[0].parametrizations.bias)
        mean = model.decoder.layers[0].parametrizations.bias.original
        q = Independent(Normal(mean, q.log_std.exp()), 1)
        w = q.sample((400_000,))
        draws = q.log_prob(w) - Independent(Normal(torch.zeros_like(mean), 1.0), 1).log_prob(w)
        layer = torch.nn.Linear(1, 3)
        layer.weight = None
        layer.bias.data = mean.detach().clone()
        make_gaussian(layer, 0.3)
        assert kl_of_weights(layer, 1.0).item() == pytest.approx(draws.mean().item(), abs=0.02)

    def test_weights_are_drawn_in_training_and_are_their_mean_in_evaluation(self, model):
        layer = model.decoder.layers[0]
        mean = layer.parametrizations.weight.original
        assert torch.equal(model.eval().decoder.layers[0].weight, mean)
        model.train()
        torch.manual_seed(0)
        draws = torch.stack([layer.weight for _ in range(20_000)])
        torch.testing.assert_close(draws.mean(0), mean, atol=0.01, rtol=0)
        torch.testing.assert_close(draws.std(0), torch.full_like(mean, 0.3), atol=0.01, rtol=0)

    def test_the_loss_is_the_bound_on_the_whole_data_set(self, model):
        """Of appendix F: N·(nll + kl) + KL of the weights, at one draw of the weights."""
        x = torch.rand(5, 1, 2, 2, dtype=torch.float64)
        torch.manual_seed(0)
        terms = model.terms(x)
        assert set(terms) == {"nll", "kl", "kl_weights"}
        assert terms["kl_weights"].shape == (5,)
        torch.testing.assert_close(terms["kl_weights"][0], kl_of_weights(model.decoder, 1.0))
        gradients = torch.autograd.grad(
            sum(t.mean() for t in terms.values()), [p for p in model.parameters() if p.requires_grad]
        )
        assert all(g.any() for g in gradients)


class TestMCEM:
    """On x = z·W + noise, whose posterior, and whose best W, are known."""

    NOISE = 0.5
    p = Independent(Normal(torch.zeros(2), torch.ones(2)), 1)

    @pytest.fixture
    def weight(self):
        torch.manual_seed(0)
        return torch.randn(2, 6)

    def decode(self, weight):
        return lambda z, some=None: Independent(Normal(z @ weight, self.NOISE), 1)

    def test_e_steps_sample_the_posterior_at_the_acceptance_that_was_asked_for(self, weight):
        x, index, decode = torch.randn(3, 6), torch.arange(3), self.decode(weight)
        objective = MCEM(samples=400, updates=1)
        objective.begin(3, self.p)
        kept = [objective.z_of_batch for _ in range(60 * 11) if objective.e_step(x, index, self.p, decode)]
        assert len(kept) == 60
        z = torch.stack(kept[30:]).flatten(0, 1)
        covariance = torch.linalg.inv(torch.eye(2) + weight @ weight.T / self.NOISE**2)
        torch.testing.assert_close(z.mean(0), x @ weight.T @ covariance / self.NOISE**2, atol=0.02, rtol=0)
        for i in range(3):
            torch.testing.assert_close(z[:, i].T.cov(), covariance, atol=0.01, rtol=0)
        chains = Chains(z[-400:], objective.step_size.expand(3), objective.step_size)
        log_joint = lambda z: self.p.log_prob(z) + decode(z).log_prob(x)  # noqa: E731
        assert hmc(log_joint, chains, 1, 10).acceptance.mean().item() == pytest.approx(0.9, abs=0.03)

    def test_latents_stay_through_the_evaluations_of_a_batch_and_between_the_visits(self, weight):
        objective = MCEM(updates=1, leapfrog_steps=2)
        objective.begin(10, self.p)
        decode, x = self.decode(weight), torch.randn(10, 6)

        def visit(index):
            updates.append(objective.e_step(x[index], index, self.p, decode))
            assert torch.equal(objective.z_of_batch, objective.z[:, index])
            return objective.z.clone()

        first, second = torch.tensor([7, 2, 5]), torch.tensor([0, 1, 9])
        begun, updates = objective.z.clone(), []
        tables = [visit(first) for _ in range(3)] + [visit(second) for _ in range(4)]
        moved = [(a != b).any(-1)[0].nonzero().flatten().tolist() for a, b in pairwise([begun, *tables])]
        assert set(moved[0]) <= {2, 5, 7}
        assert set(moved[3]) <= {0, 1, 9}
        assert set(moved[6]) <= {0, 1, 9}  # the three evaluations are over
        assert updates == [False, False, True, False, False, True, False]
        assert moved[0]
        assert moved[3]
        assert moved[1] == moved[2] == moved[4] == moved[5] == []

    def test_it_reaches_the_maximum_of_the_likelihood(self, weight):
        """That of probabilistic PCA with a known noise (Tipping and Bishop 1999)."""
        n = 400
        x = torch.randn(n, 2) @ weight + self.NOISE * torch.randn(n, 6)
        values, vectors = torch.linalg.eigh(x.T @ x / n)
        best = (vectors[:, -2:] * (values[-2:] - self.NOISE**2).sqrt()).T

        def log_likelihood(W):
            covariance = W.T @ W + self.NOISE**2 * torch.eye(6)
            return MultivariateNormal(torch.zeros(6), covariance).log_prob(x).mean().item()

        W = (0.1 * torch.randn(2, 6)).requires_grad_()
        objective, optimizer = MCEM(samples=4), torch.optim.Adam([W])
        objective.begin(n, self.p)
        for i in range(1500):
            while not objective.e_step(x, torch.arange(n), self.p, self.decode(W.detach())):
                pass
            optimizer.param_groups[0]["lr"] = 0.03 * (1 - i / 1500)
            optimizer.zero_grad()
            objective(x, None, self.p, self.decode(W))["nll"].mean().backward()
            optimizer.step()
        assert log_likelihood(best) - 0.02 < log_likelihood(W.detach()) <= log_likelihood(best) + 1e-4

    def test_a_checkpoint_brings_everything_back(self, weight):
        x, index = torch.randn(3, 6), torch.arange(3)
        ends = []
        for stopped in (False, True):
            torch.manual_seed(0)
            objective = MCEM(updates=3, leapfrog_steps=2)
            objective.begin(3, self.p)
            for i in range(13):
                if stopped and i == 8:  # in the middle of an M step
                    state, objective = objective.state_dict(), MCEM(updates=3, leapfrog_steps=2)
                    objective.load_state_dict(state)
                    objective.begin(3, self.p)
                objective.e_step(x, index, self.p, self.decode(weight))
            ends.append((objective.z, objective.step_size))
        assert all(map(torch.equal, *ends))
