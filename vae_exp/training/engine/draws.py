"""Random numbers under torch.vmap: every model draws from generators of its own, what it would draw alone."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from vae_exp.training.generators import Own

DRAWS = (torch.randn, torch.rand, torch.randn_like, torch.rand_like, torch.bernoulli, torch.normal, torch.multinomial)
"""The functions that models draw with. With `randomness="error"`, torch.vmap refuses others."""


class OwnDraws(TorchFunctionMode):
    """In this context inside torch.vmap, draw the random numbers of each model from its own generators.

    Args:
        number: The number of the model, a scalar, over which torch.vmap maps.
        generators: The generators of each model.
    """

    def __init__(self, number: Tensor, generators: Sequence[Own]) -> None:
        super().__init__()
        self._number, self._generators = number, generators

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call a function of PyTorch."""
        if function in DRAWS:
            return _Draw.apply(function, self._generators, self._number, kwargs or {}, *args)
        return function(*args, **kwargs or {})


class _Draw(torch.autograd.Function):
    """Call a function that draws random numbers. They have no derivative."""

    @staticmethod
    def forward(function: Callable[..., Tensor], generators: Any, number: Tensor, kwargs: Any, *args: Any) -> Tensor:
        return function(*args, **kwargs)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.mark_non_differentiable(output)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        raise AssertionError("random numbers have no derivative")

    @staticmethod
    def vmap(
        info: Any,
        in_dims: Sequence[Any],
        function: Callable[..., Tensor],
        generators: Sequence[Own],
        number: Tensor,
        kwargs: Any,
        *args: Any,
    ) -> tuple[Tensor, int]:
        dims = in_dims[-len(args) :] if args else ()
        draws = []
        for i, own in enumerate(generators):
            arguments = [
                arg.select(dim, i) if isinstance(dim, int) else arg for arg, dim in zip(args, dims, strict=True)
            ]
            with own.current():
                draws.append(function(*arguments, **kwargs))
        return torch.stack(draws), 0
