"""An optimizer from outside that does not keep its contract: one message, with the key and what is wrong."""

import math

import pytest
import torch

from vae_exp.foreign import PartError


def bad_optimizer(params, lr: float = 0.1):
    return [params, lr]


def diverging_optimizer(params, lr: float = 0.1):
    return torch.optim.SGD(params, lr=math.inf)


def needs_closure(params, lr: float = 0.1):
    return torch.optim.LBFGS([parameter for group in params for parameter in group["params"]], lr=lr)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (bad_optimizer, r"a torch\.optim\.Optimizer is needed here, and this is a list"),
        (diverging_optimizer, r"a parameter after SGD\.step\(\) must be finite"),
        (needs_closure, r"TypeError: .*closure"),
    ],
)
def test_an_optimizer_that_breaks_its_contract(check, part, message):
    with pytest.raises(PartError, match=rf"^optimizer: {message}"):
        check("optimizer", part)
