import math

import pytest
import torch
from torch.distributions import Independent, Normal

from vae_exp.likelihood import Bernoulli
from vae_exp.objective import WakeSleep
from vae_exp.prior.normal import DiagonalNormal

B, D = 4, 3


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
