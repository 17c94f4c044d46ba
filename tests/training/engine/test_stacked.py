"""Several models as one: their losses, gradients and memory are those of each."""

import pytest
import torch
from torch import nn

from vae_exp.training.engine.gradients import Eager
from vae_exp.training.engine.stacked import Stacked


class Noisy(nn.Module):
    """A model with a number, a buffer, a frozen parameter, a parameter outside the loss, and noise."""

    def __init__(self, scale):
        super().__init__()
        self.layer, self.unused = nn.Linear(6, 2), nn.Linear(2, 2)
        self.frozen = nn.Parameter(torch.randn(2), requires_grad=False)
        self.register_buffer("offset", torch.randn(2))
        self.scale = scale

    def forward(self, x, y, counts=None):
        out = self.layer(x.flatten(1)).tanh() * self.scale + self.frozen + self.offset
        losses = out.square().sum(1) * counts + y
        return losses.mean() * 2, {"nll": losses.mean()}


@pytest.fixture
def models():
    torch.manual_seed(0)
    return [Noisy(scale) for scale in (0.5, 1.0, 2.0)]


@pytest.fixture
def batch():
    torch.manual_seed(1)
    return torch.randn(3, 4, 1, 2, 3), torch.randint(5, (3, 4)), torch.rand(3, 4)


def test_losses_and_gradients_are_those_of_each_model(models, batch):
    alone = []
    for i, model in enumerate(models):
        loss, terms = Eager(model)(*(part[i] for part in batch))
        alone.append((loss, terms["nll"], model.layer.weight.grad, model.layer.bias.grad))
    stacked = Stacked(models, ["layer.weight", "layer.bias"], [])
    loss, terms = stacked(*batch)
    gradients = {name: parameter.grad for name, parameter in stacked.parameters.items()}
    assert gradients["layer.weight"].stride() == stacked.parameters["layer.weight"].stride()
    for i, expected in enumerate(alone):
        found = loss[i], terms["nll"][i], gradients["layer.weight"][..., i], gradients["layer.bias"][..., i]
        torch.testing.assert_close(found, expected)


def test_the_parameters_of_each_model_are_parts_of_the_stacked_ones_until_it_is_released(models):
    before = [{name: value.clone() for name, value in model.state_dict().items()} for model in models]
    stacked = Stacked(models, ["layer.weight"], [])
    with torch.no_grad():
        for parameter in stacked.parameters.values():
            parameter += 1
    for model, old in zip(models, before, strict=True):
        torch.testing.assert_close(model.layer.weight, old["layer.weight"] + 1)
        assert model.layer.weight.is_contiguous()
        assert torch.equal(model.offset, old["offset"])
    stacked.release()
    with torch.no_grad():
        for parameter in stacked.parameters.values():
            parameter += 1
    torch.testing.assert_close(models[2].layer.weight, before[2]["layer.weight"] + 1)
    assert models[2].layer.weight.untyped_storage().nbytes() == models[2].layer.weight.nbytes
