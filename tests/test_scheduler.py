"""The rate after every batch, in samples; and that a saved schedule goes on exactly."""

from math import cos, pi

import pytest
import torch
from torch.optim import SGD, lr_scheduler

from vae_exp.scheduler import cosine, linear_warmup, plateau, step

BATCH = 50
BUILD = {
    "cosine": lambda optimizer: cosine(optimizer, BATCH, samples=1000, final=0.1),
    "step": lambda optimizer: step(optimizer, BATCH, samples=300, factor=0.5),
    "linear_warmup": lambda optimizer: linear_warmup(optimizer, BATCH, samples=500, start=0.2),
    "plateau": lambda optimizer: plateau(optimizer, factor=0.5, patience=1, threshold=0.1, min_lr=0.2),
}
RATES = {
    "cosine": lambda n: 0.1 + 0.9 * (1 + cos(pi * min(n / 1000, 1))) / 2,
    "step": lambda n: 0.5 ** (n // 300),
    "linear_warmup": lambda n: min(0.2 + 0.8 * n / 500, 1),
}
COSTS = [-100.0, -100.05, -100.05, -101.0, -100.0, -100.0, -100.0, -100.0, -100.0, -100.0]
"""A gain of 0.05 is none. The cost of a density may be negative: a relative threshold would turn its sign."""


def built(name):
    optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=2.0)
    return optimizer, BUILD[name](optimizer)


def rates(optimizer, scheduler, costs):
    """The rates of the next batches: after each the scheduler takes a step."""
    found = []
    for cost in costs:
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step(*([cost] if isinstance(scheduler, lr_scheduler.ReduceLROnPlateau) else []))
    return found


@pytest.mark.parametrize("name", RATES)
def test_the_rate_is_a_function_of_the_samples(name):
    found = rates(*built(name), range(30))
    assert found == pytest.approx([2 * RATES[name](BATCH * i) for i in range(30)], rel=1e-9)


def test_cosine_is_that_of_pytorch_until_it_ends():
    optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=2.0)
    theirs = lr_scheduler.CosineAnnealingLR(optimizer, 20, eta_min=0.2)
    assert rates(*built("cosine"), range(20)) == pytest.approx(rates(optimizer, theirs, range(20)), rel=1e-9)


def test_a_plateau_lowers_the_rate_after_two_evaluations_without_a_gain():
    expected = [2.0, 2.0, 2.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
    assert rates(*built("plateau"), COSTS) == pytest.approx(expected)


@pytest.mark.parametrize("name", BUILD)
def test_a_schedule_that_was_saved_goes_on_to_the_last_bit(name, tmp_path):
    whole = rates(*built(name), COSTS * 2)
    optimizer, scheduler = built(name)
    begun = rates(optimizer, scheduler, COSTS[:7])
    torch.save((optimizer.state_dict(), scheduler.state_dict()), tmp_path / "state")
    optimizer, scheduler = built(name)
    for part, state in zip((optimizer, scheduler), torch.load(tmp_path / "state", weights_only=True), strict=True):
        part.load_state_dict(state)
    assert begun + rates(optimizer, scheduler, (COSTS * 2)[7:]) == whole
