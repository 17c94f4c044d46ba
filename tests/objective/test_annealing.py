import pytest

from vae_exp.errors import ConfigError
from vae_exp.objective.annealing import Cycles, Warmup, annealed_weight


def test_a_warm_up_rises_in_a_line_whatever_the_budget():
    shares = [Warmup(200)(seen, budget) for seen in (0, 50, 200, 900) for budget in (1000, 5000)]
    assert shares == [0, 0, 0.25, 0.25, 1, 1, 1, 1]


def test_cycles_begin_again_and_rise_in_their_first_part():
    """Of 1000 samples, two cycles of 500; in each the first 200 rise."""
    schedule = Cycles(2, proportion=0.4)
    assert [schedule(seen, 1000) for seen in (0, 100, 200, 499)] == pytest.approx([0, 0.5, 1, 1])
    assert [schedule(seen + 500, 1000) for seen in (0, 100, 200, 499)] == pytest.approx([0, 0.5, 1, 1])


def test_a_weight_is_a_number_or_names_its_schedule():
    assert annealed_weight("beta", 4.0) == (4.0, None)
    assert annealed_weight("beta", {"warmup": 1e5}) == (1.0, Warmup(1e5))
    assert annealed_weight("beta", {"cycles": 3, "final": 4}) == (4.0, Cycles(3, 0.5))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"warmpu": 3}, "beta.warmpu: no such key. Did you mean beta.warmup"),
        ({"warmup": 3, "proportion": 0.5}, "beta.proportion: no such key"),
        ({"warmup": 3, "cycles": 2}, "is not allowed: a number, {warmup: samples} or {cycles"),
        ({"final": 3}, "is not allowed: a number, {warmup: samples} or {cycles"),
        ({"warmup": 0}, "beta.warmup=0: is not allowed: a number of samples above 0"),
        ({"cycles": 2.5}, "beta.cycles=2.5: is not allowed: a whole number"),
        ({"cycles": 2, "proportion": 1.5}, "at most 1"),
        ({"cycles": 2, "final": -1}, "beta.final=-1: is not allowed"),
        ({"warmup": True}, "beta.warmup=True: is not allowed"),
    ],
)
def test_a_wrong_schedule_is_refused_by_its_key(value, message):
    with pytest.raises(ConfigError) as error:
        annealed_weight("beta", value)
    assert message in str(error.value)
