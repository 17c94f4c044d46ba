"""Random numbers of several models, drawn before they are computed together, are those that each model draws alone."""

import pytest
import torch

from vae_exp.training.engine.draws import Recorded, Replayed
from vae_exp.training.generators import Own


def seeded(seed):
    own = Own()
    with own.current():
        torch.manual_seed(seed)
    return own


def together(draw, p, generators):
    """What each model draws if their numbers are drawn first and are then given to all of them at once."""
    with generators[0].current(), torch.random.fork_rng(devices=[]), Recorded() as recorded:
        draw(p[0])
    noise = [torch.stack([each.like] * len(generators)) for each in recorded.draws]
    for i, own in enumerate(generators):
        with own.current():
            for each, result in zip(recorded.draws, noise, strict=True):
                each.into(result[i])

    def drawn(p, noise):
        with Replayed(noise) as replayed:
            result = draw(p)
        replayed.end()
        return result

    return torch.vmap(drawn, randomness="error")(p, noise)


@pytest.mark.parametrize(
    "draw",
    [
        lambda p: torch.randn(2, 3) * p,
        lambda p: torch.rand((40,), dtype=torch.float64) + p.sum(),
        lambda p: torch.randn_like(p) + torch.rand_like(p),
        lambda p: torch.randint(5, (4,)) + torch.randint(2, 9, size=(4,)) + 0 * p.sum(),
        lambda p: torch.bernoulli(p.expand(20, 3)),
        lambda p: torch.normal(p.expand(20, 3), 2 * p) + torch.normal(torch.zeros(3), torch.ones(3)),
    ],
)
def test_each_model_draws_from_its_own_generator(draw):
    p = torch.tensor([[0.1, 0.5, 0.9], [0.3, 0.3, 0.4]])
    generators, alone = [seeded(1), seeded(2)], [seeded(1), seeded(2)]
    before = torch.get_rng_state()

    def twice(p):
        return torch.stack([draw(p), draw(p)])

    found = together(twice, p, generators)
    for i, own in enumerate(alone):
        with own.current():
            assert torch.equal(found[i], twice(p[i]))
        assert torch.equal(own.state()[0], generators[i].state()[0])
    torch.set_rng_state(before)


@pytest.mark.parametrize("draw", [lambda p: torch.empty_like(p).exponential_(), lambda p: torch.multinomial(p, 2)])
def test_other_functions_that_draw_are_refused(draw):
    with pytest.raises(RuntimeError, match="random"):
        together(draw, torch.ones(1, 3), [seeded(1)])


def test_a_model_that_draws_less_than_it_did_is_refused():
    counts = iter([2, 1])
    with pytest.raises(RuntimeError, match="does not draw the same"):
        together(lambda p: sum(torch.randn(3) for _ in range(next(counts))) + p, torch.ones(1, 3), [seeded(1)])
