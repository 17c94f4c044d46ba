"""Two ways to the gradient of a loss: as PyTorch runs it, or compiled into one program."""

import logging
import os
import shutil
import sys
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch._dynamo.exc import TorchDynamoException
from torch.func import functional_call, grad_and_value

from vae_exp.errors import ConfigError

log = logging.getLogger(__name__)
logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # "No CUDA runtime is found", on a CPU

Loss = tuple[Tensor, dict[str, Tensor]]
"""A scalar, and the means of the terms that it is made of."""

Gradients = Callable[[Tensor, Tensor], Loss]
"""Images and labels to the loss; leaves its gradient in the parameters."""

REPAID_FROM = 20_000
"""Updates of a multilayer perceptron after which the time that compiling takes is won back (docs/performance.md)."""


def eager(model: nn.Module) -> Gradients:
    """The gradients by autograd.

    Args:
        model: Its `forward` maps images and labels to a `Loss`.
    """
    parameters = list(model.parameters())

    def gradients(x: Tensor, y: Tensor) -> Loss:
        loss, terms = model(x, y)
        for parameter in parameters:
            parameter.grad = None
        loss.backward()
        return loss.detach(), terms

    return gradients


def compiled(model: nn.Module, or_else: Gradients | None = None) -> Gradients:
    """The gradients by one program that torch.compile makes of loss and derivative at the first call.

    It draws the same random numbers as `eager` and differs from it by rounding only.

    Args:
        model: Its `forward` maps images and labels to a `Loss`.
        or_else: What to use where the program cannot be made.

    Raises:
        ConfigError: It cannot be made, and there is nothing else.
    """
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}

    def loss(values: dict[str, Tensor], x: Tensor, y: Tensor) -> Loss:
        value: Loss = functional_call(model, values, (x, y))
        return value

    torch._dynamo.reset()  # or the ninth job of a sweep in one process would meet the limit of recompilations
    program = torch.compile(
        grad_and_value(loss, has_aux=True), fullgraph=True, dynamic=False, options={"fallback_random": True}
    )

    failed = False

    def gradients(x: Tensor, y: Tensor) -> Loss:
        nonlocal failed
        if failed:
            assert or_else is not None
            return or_else(x, y)
        try:
            with torch.no_grad():
                values = {name: p.detach() for name, p in parameters.items()}
                derivatives, (value, terms) = program(values, x, y)
        except TorchDynamoException as error:
            reason = str(error).strip().partition("\n")[0]
            if or_else is None:
                raise ConfigError(f"trainer.compile: {reason}. trainer.compile=false trains without it") from error
            log.warning("Training without torch.compile, which failed: %s", reason)
            failed = True
            return or_else(x, y)
        for name, parameter in parameters.items():
            parameter.grad = derivatives[name]
        return value, terms

    return gradients


def is_repaid(model: nn.Module, updates: int) -> bool:
    """Whether compiling pays: many updates on a CPU, a compiler at hand, no convolutions (as fast without it)."""
    convolutional = any(isinstance(module, nn.Conv2d) for module in model.modules())
    on_cpu = all(parameter.device.type == "cpu" for parameter in model.parameters())
    return updates >= REPAID_FROM and on_cpu and not convolutional and has_compiler()


def has_compiler() -> bool:
    """Whether there is the C++ compiler that torch.compile takes on a CPU."""
    return shutil.which(os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")) is not None
