"""Random numbers under torch.vmap are those that each model draws alone."""

import pytest
import torch

from vae_exp.training.engine.draws import OwnDraws
from vae_exp.training.generators import Own


def seeded(seed):
    own = Own()
    with own.current():
        torch.manual_seed(seed)
    return own


@pytest.mark.parametrize(
    "draw",
    [
        lambda p: torch.randn(2, 3) * p,
        lambda p: torch.rand((4,), dtype=torch.float64) + p.sum(),
        lambda p: torch.randn_like(p) + torch.rand_like(p),
        lambda p: torch.bernoulli(p),
        lambda p: torch.normal(torch.zeros(3), torch.ones(3)) * p,
        lambda p: torch.multinomial(p, 2, replacement=True),
    ],
)
def test_each_model_draws_from_its_own_generator(draw):
    p = torch.tensor([[0.1, 0.5, 0.9], [0.3, 0.3, 0.4]])
    together, alone = [seeded(1), seeded(2)], [seeded(1), seeded(2)]

    def drawn(p, number):
        with OwnDraws(number, together):
            return draw(p), draw(p)

    before = torch.get_rng_state()
    found = torch.vmap(drawn, randomness="error")(p, torch.arange(2))
    for i, own in enumerate(alone):
        with own.current():
            expected = draw(p[i]), draw(p[i])
        assert torch.equal(found[0][i], expected[0])
        assert torch.equal(found[1][i], expected[1])
        assert torch.equal(own.state()[0], together[i].state()[0])
    torch.set_rng_state(before)


def test_draws_are_constants_of_the_gradient():
    scale, own = torch.tensor([2.0, 3.0]), [seeded(1), seeded(2)]

    def loss(scale, number):
        with OwnDraws(number, own):
            return (scale * torch.randn_like(scale.expand(4))).sum()

    gradient = torch.vmap(torch.func.grad(loss), randomness="error")(scale, torch.arange(2))
    for i, seed in enumerate((1, 2)):
        with seeded(seed).current():
            torch.testing.assert_close(gradient[i], torch.randn(4).sum())


def test_other_functions_that_draw_are_refused():
    def drawn(p, number):
        with OwnDraws(number, [seeded(1)]):
            return torch.empty_like(p).exponential_()

    with pytest.raises(RuntimeError, match="random"):
        torch.vmap(drawn, randomness="error")(torch.ones(1, 3), torch.arange(1))
