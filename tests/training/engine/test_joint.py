"""One optimizer for all members of an ensemble: its steps in a program are those of the members' own optimizers."""

from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from vae_exp import optimizer
from vae_exp.dataset.shard import WHOLE_BATCH
from vae_exp.training.engine.joint import JointStep, OwnSteps, are_joinable, own_state
from vae_exp.training.engine.stacked import Stacked
from vae_exp.training.engine.update import Step
from vae_exp.training.weight_prior import with_weight_prior

RATES = (0.01, 0.02, 0.05)
MAKE = {
    "adagrad": optimizer.adagrad,
    "adagrad with a decay": partial(optimizer.adagrad, lr_decay=0.1),
    "adam": optimizer.adam,
    "rmsprop": partial(optimizer.rmsprop, momentum=0.9),
    "sgd": partial(optimizer.sgd, momentum=0.9, nesterov=True),
}


def member_of(make, lr=0.01, prior=0.05, clip=None, scheduled=False):
    """What the steps use of a member."""
    loss = nn.Linear(4, 3)
    found = make(with_weight_prior(loss, prior), lr=lr)
    return SimpleNamespace(
        loss=loss,
        optimizer=found,
        step=Step(loss.parameters(), found, WHOLE_BATCH, clip),
        schedule=SimpleNamespace(changes_rate=scheduled),
        parameters=lambda: dict(loss.named_parameters()),
    )


def members_of(make, rates):
    torch.manual_seed(0)
    members = [member_of(make, lr) for lr in rates]
    return members, Stacked([member.loss for member in members], ["weight", "bias"], [])


def set_gradients(whole):
    for parameter in whole.parameters.values():
        parameter.grad = torch.randn_like(parameter)


def state(member):
    tensors = [member.loss.weight, member.loss.bias]
    return [tensor.detach().clone() for tensor in (*tensors, *member.step.state())]


@pytest.mark.parametrize("rates", [RATES, RATES[:1] * 3], ids=["rates", "one rate"])
@pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)
def test_the_joint_step_is_that_of_each_optimizer(make, rates):
    """Also after the states of the members have become parts of the joint state, and are their own again."""
    found = {}
    for joint in (False, True):
        members, whole = members_of(make, rates)
        steps = OwnSteps(members, whole)
        apply = steps.apply
        for i in range(4):
            set_gradients(whole)
            if joint and i == 1:
                step = JointStep(members, steps)
                apply = torch.compile(step.trace, backend="eager", fullgraph=True, isolate_recompiles=True)
            with torch.no_grad():
                apply()
            if joint and i == 1:
                step.share_state()
            if joint and i == 2:
                for member in members:
                    own_state(member.optimizer)
                apply = steps.apply
        found[joint] = [state(member) for member in members]
    torch.testing.assert_close(found[True], found[False], rtol=1e-5, atol=1e-6)


class Odd(torch.optim.SGD):
    """An optimizer from outside PyTorch."""


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ({"lr": 0.5}, True),
        ({"prior": 0.1}, False),
        ({"clip": 1.0}, False),
        ({"scheduled": True}, False),
        ({"make": partial(optimizer.adam, betas=(0.5, 0.9))}, False),
        ({"make": optimizer.sgd}, False),
    ],
    ids=["rate", "prior", "clipping", "scheduler", "betas", "optimizer"],
)
def test_one_optimizer_is_enough_if_only_constant_rates_differ(other, expected):
    assert are_joinable([member_of(optimizer.adam), member_of(**{"make": optimizer.adam, **other})]) is expected


@pytest.mark.parametrize("make", [Odd, torch.optim.Adadelta, torch.optim.NAdam])
def test_optimizers_that_are_not_known_to_be_elementwise_are_not_joined(make):
    assert not are_joinable([member_of(make), member_of(make)])
