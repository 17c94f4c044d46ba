"""Which models can be trained by one program, and the numbers in which they may differ."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

import torch
from torch import Tensor, nn

Number = tuple[str, str, str | None]
"""Where a model has a number: the name of the module, the name of its attribute, and the key if that is a mapping."""

OF_MODULES = frozenset(vars(nn.Module()))
"""The attributes that every module has."""

LARGEST_CONSTANT = 1000
"""Tensors up to this size are compared by their values; larger ones count as different."""


def structure(model: nn.Module) -> Hashable:
    """Describe everything of a model that one program for several models has to share.

    Models with equal descriptions differ at most in the values of their parameters and buffers, and in the numbers with
    a decimal point that their modules have as attributes.
    """
    return _described(model, {})


def numbers(model: nn.Module) -> dict[Number, float]:
    """Return the numbers with a decimal point that the modules of a model have as attributes."""
    found: dict[Number, float] = {}
    for name, module in model.named_modules():
        for attribute, value in _own(module).items():
            if isinstance(value, float):
                found[name, attribute, None] = value
            elif isinstance(value, Mapping):
                found |= {(name, attribute, key): each for key, each in value.items() if isinstance(each, float)}
    return found


@contextmanager
def with_numbers(model: nn.Module, values: Mapping[Number, Tensor]) -> Iterator[None]:
    """Replace numbers of a model by scalar tensors in this context."""
    before = {(name, attribute): getattr(model.get_submodule(name), attribute) for name, attribute, _ in values}
    try:
        for (name, attribute, key), value in values.items():
            module = model.get_submodule(name)
            setattr(module, attribute, value if key is None else {**getattr(module, attribute), key: value})
        yield
    finally:
        for (name, attribute), old in before.items():
            setattr(model.get_submodule(name), attribute, old)


def _own(module: nn.Module) -> dict[str, Any]:
    return {name: value for name, value in vars(module).items() if name not in OF_MODULES}


def _described(value: Any, seen: dict[int, tuple[int, Any]]) -> Hashable:
    """Describe a value. `seen` has the number of each object so far, because objects may refer to each other."""
    if value is None or isinstance(value, str | int | float | complex | bytes | type | torch.dtype | torch.device):
        return type(value), value
    if id(value) in seen:
        return "seen", seen[id(value)][0]
    seen[id(value)] = len(seen), value  # it must live on: another object could get its id

    def inside(part: Any) -> Hashable:
        return _described(part, seen)

    if isinstance(value, nn.Module):
        return _described_module(value, inside)
    if isinstance(value, Tensor):
        return _form(value), tuple(value.flatten().tolist()) if value.numel() <= LARGEST_CONSTANT else object()
    if isinstance(value, Mapping):
        return type(value), tuple((key, inside(each)) for key, each in value.items())
    if isinstance(value, Sequence | set | frozenset):
        return type(value), tuple(map(inside, value))
    return _described_object(value, inside)


def _described_module(module: nn.Module, inside: Callable[[Any], Hashable]) -> Hashable:
    own = {name: _without_numbers(value) for name, value in _own(module).items()}
    tensors = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
    return (
        type(module),
        module.training,
        tuple((name, inside(value)) for name, value in own.items()),
        tuple((name, _form(tensor)) for name, tensor in tensors),
        tuple((name, inside(child)) for name, child in module.named_children()),
    )


def _described_object(value: Any, inside: Callable[[Any], Hashable]) -> Hashable:
    if isinstance(value, FunctionType):
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        return value.__code__, inside(cells), inside(value.__defaults__), inside(value.__kwdefaults__)
    if isinstance(value, MethodType):
        return inside(value.__func__), inside(value.__self__)
    if isinstance(value, partial):
        return partial, inside(value.func), inside(value.args), inside(value.keywords)
    if isinstance(value, BuiltinFunctionType) or not hasattr(value, "__dict__"):
        return value if isinstance(value, Hashable) else object()
    return type(value), inside(vars(value))


def _without_numbers(value: Any) -> Any:
    if isinstance(value, float):
        return float
    if isinstance(value, Mapping):
        return {key: float if isinstance(each, float) else each for key, each in value.items()}
    return value


def _form(tensor: Tensor) -> Hashable:
    return tensor.shape, tensor.dtype, tensor.device, tensor.requires_grad
