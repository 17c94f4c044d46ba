"""Random numbers of several models in one program: each has what it would draw alone, drawn before the program runs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


def _normal(noise: Tensor, mean: Tensor, std: Tensor | float) -> Tensor:
    return noise * std + mean


def _bernoulli(noise: Tensor, p: Tensor) -> Tensor:
    return (noise < p).to(p.dtype)


BY_SHAPE: dict[Any, tuple[Callable[..., Tensor], Callable[..., Tensor]]] = {
    torch.randn_like: (torch.randn, lambda noise, *arguments, **options: noise),
    torch.rand_like: (torch.rand, lambda noise, *arguments, **options: noise),
    torch.normal: (torch.randn, _normal),
    torch.bernoulli: (torch.rand, _bernoulli),
}
"""Functions of tensors, the function that draws the same random numbers from a shape, and what is made of them.

On a GPU, torch.bernoulli draws other numbers than torch.rand: models that call it train alone there.
"""

DRAWS = frozenset({torch.randn, torch.rand, torch.randint, *BY_SHAPE})
"""The functions that models may draw with. With `randomness="error"`, torch.vmap refuses others."""


@dataclass(frozen=True, eq=False)
class Draw:
    """A call of a function that draws random numbers which depend on no tensor.

    Args:
        function: The function.
        arguments: Its arguments.
        options: Its arguments with names.
        like: A tensor of the shape and type of what it draws.
    """

    function: Callable[..., Tensor]
    arguments: Sequence[Any]
    options: Mapping[str, Any]
    like: Tensor

    def into(self, result: Tensor) -> None:
        """Draw into this tensor."""
        self.function(*self.arguments, **self.options, out=result)


class Recorded(TorchFunctionMode):
    """In this context, note what a model draws.

    Attributes:
        draws: What it drew, in this order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.draws: list[Draw] = []

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call a function of PyTorch."""
        result = function(*args, **kwargs or {})
        if function in BY_SHAPE:
            self.draws.append(Draw(BY_SHAPE[function][0], (result.shape,), {}, result))
        elif function in DRAWS:
            self.draws.append(Draw(function, args, kwargs or {}, result))
        return result


class Replayed(TorchFunctionMode):
    """In this context, let a model have random numbers that were drawn before.

    Args:
        noise: What its draws are to return or to be made of, in their order.
    """

    def __init__(self, noise: Sequence[Tensor]) -> None:
        super().__init__()
        self._noise, self._used = noise, 0

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call a function of PyTorch, unless it draws random numbers."""
        if function not in DRAWS:
            return function(*args, **kwargs or {})
        self._used += 1
        noise = self._noise[self._used - 1]
        return BY_SHAPE[function][1](noise, *args, **kwargs or {}) if function in BY_SHAPE else noise

    def end(self) -> None:
        """Check that all of the numbers were used.

        Raises:
            RuntimeError: The model has drawn fewer numbers than when they were recorded.
        """
        if self._used != len(self._noise):
            raise RuntimeError("the model does not draw the same random numbers for every batch")
