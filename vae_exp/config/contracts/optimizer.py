"""The contract of an optimizer."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from vae_exp.config.contracts.tensors import check_floats
from vae_exp.foreign import reported, require


def check_optimizer(build: Callable[[Any], Optimizer], key: str) -> None:
    """Hold an optimizer against its contract, with two parameters of its own.

    Args:
        build: Builds the optimizer from parameter groups.
        key: Its key on the command line.

    Raises:
        PartError: It does not keep the contract.
    """
    weight, bias = nn.Parameter(torch.randn(2, 3)), nn.Parameter(torch.randn(2))
    with reported(key):
        optimizer = build([{"params": [weight], "weight_decay": 0.1}, {"params": [bias], "weight_decay": 0.0}])
        kind = type(optimizer).__name__
        require(isinstance(optimizer, Optimizer), key, f"a torch.optim.Optimizer is needed here, and this is a {kind}")
        for parameter in (weight, bias):
            parameter.grad = torch.randn_like(parameter)
        optimizer.step()
        for parameter in (weight, bias):
            check_floats(parameter.detach(), parameter.shape, key, f"a parameter after {kind}.step()")
