"""Which models one program can train: equal in everything but tensors and numbers with a decimal point."""

from functools import partial

import pytest
import torch
from torch import nn

from vae_exp.training.engine.alike import numbers, structure, with_numbers


class Scaled(nn.Module):
    def __init__(self, scale=1.0, units=3, power=2, function=torch.tanh, weights=None, constant=0.0):
        super().__init__()
        self.scale, self.power, self.function = scale, power, function
        self.weights = weights or {"nll": 1.0}
        self.layer = nn.Linear(2, units)
        self.constant = (torch.tensor([constant]),)
        self.itself = (self,)

    def forward(self, x):
        return self.scale * self.weights["nll"] * self.function(self.layer(x)) ** self.power


def closure(value):
    return lambda x: x * value


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {}),
        ({"scale": 1.0}, {"scale": 2.0}),
        ({"weights": {"nll": 1.0}}, {"weights": {"nll": 2.0}}),
        ({"function": closure(3)}, {"function": closure(3)}),
        ({"function": partial(torch.add, 1)}, {"function": partial(torch.add, 1)}),
    ],
)
def test_models_are_alike(one, other):
    assert structure(Scaled(**one)) == structure(Scaled(**other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"units": 3}, {"units": 4}),
        ({"power": 2}, {"power": 3}),
        ({"power": 1}, {"power": True}),
        ({"scale": 1.0}, {"scale": 1}),
        ({"function": torch.tanh}, {"function": torch.relu}),
        ({"function": closure(3)}, {"function": closure(4.0)}),
        ({"function": partial(torch.add, 1)}, {"function": partial(torch.add, 2)}),
        ({"weights": {"nll": 1.0}}, {"weights": {"kl": 1.0}}),
        ({"constant": 1.0}, {"constant": 2.0}),
    ],
)
def test_models_are_not_alike(one, other):
    assert structure(Scaled(**one)) != structure(Scaled(**other))


def test_a_frozen_parameter_and_the_mode_are_part_of_the_structure():
    frozen = Scaled()
    frozen.layer.bias.requires_grad_(False)
    assert structure(frozen) != structure(Scaled())
    assert structure(Scaled().eval()) != structure(Scaled())


def test_numbers_can_be_tensors_for_a_while():
    model = nn.Sequential(Scaled(scale=2.0, weights={"nll": 3.0, "kl": 1.0}))
    assert numbers(model) == {("0", "scale", None): 2.0, ("0", "weights", "nll"): 3.0, ("0", "weights", "kl"): 1.0}
    x, scales = torch.randn(5, 2), torch.tensor([2.0, 7.0])

    def scaled(scale, weight):
        with with_numbers(model, {("0", "scale", None): scale, ("0", "weights", "nll"): weight}):
            return model(x)

    once = model(x)
    torch.testing.assert_close(torch.vmap(scaled)(scales, torch.tensor([3.0, 1.5])), torch.stack([once, 1.75 * once]))
    assert numbers(model)["0", "scale", None] == 2.0
    assert torch.equal(model(x), once)
