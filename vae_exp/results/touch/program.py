"""A function of a model as a short list of steps, which the page computes in JavaScript."""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.fx import Node

from vae_exp.errors import ConfigError


class UnsuitableModel(ConfigError):
    """A model that a page cannot have."""


Rule = Callable[["Program", Node], None]
"""Adds the steps that compute a node of PyTorch's graph."""


@dataclass
class Value:
    """A tensor of the program.

    Attributes:
        shape: Its shape, with a batch of one image.
        constant: Its numbers, if they do not depend on the input.
        of: The value whose memory it shares, and the position in it where it begins.
    """

    shape: tuple[int, ...]
    constant: Tensor | None = None
    of: tuple[int, int] | None = None


@dataclass(frozen=True)
class Step:
    """One operation: its name in `engine.js`, the values that it reads, the value that it writes, its settings."""

    operation: str
    inputs: list[int]
    output: int
    settings: dict[str, Any]


@dataclass
class Program:
    """A function of one image, or of one code, as steps.

    It is made from the graph of `torch.export` in PyTorch's core operations. What does not depend on the input is
    computed here. Where numbers are only moved, the moved positions are computed here too, so the page needs few
    operations.

    Attributes:
        name: The name of the function, for messages.
        values: The tensors.
        steps: The steps in order.
        inputs: The value of each input by name.
        outputs: The value of each output by name.
    """

    name: str
    values: list[Value] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    inputs: dict[str, int] = field(default_factory=dict)
    outputs: dict[str, int] = field(default_factory=dict)
    _places: dict[Node, int | list[int]] = field(default_factory=dict)

    def add(self, value: Value) -> int:
        """Add a value and return its number."""
        self.values.append(value)
        return len(self.values) - 1

    def constant(self, numbers: Any) -> int:
        """Add numbers that do not depend on the input."""
        tensor = torch.as_tensor(numbers)
        return self.add(Value(tuple(tensor.shape), tensor))

    def place(self, node: Any) -> int:
        """Return the number of the value that a node, or a plain number, stands for."""
        if not isinstance(node, Node):
            return self.constant(float(node))
        place = self._places[node]
        assert isinstance(place, int)
        return place

    def shape(self, node: Node) -> tuple[int, ...]:
        """Return the shape of the values of a node."""
        return tuple(node.meta["val"].shape)

    def set(self, node: Node, place: int | list[int]) -> None:
        """Say which value a node stands for, or which values if it returns several."""
        self._places[node] = place

    def parts(self, node: Node) -> list[int]:
        """Return the values of a node that returns several."""
        place = self._places[node]
        assert isinstance(place, list)
        return place

    def step(
        self, operation: str, inputs: Sequence[int], shape: Sequence[int], settings: Mapping[str, Any] | None = None
    ) -> int:
        """Add a step, and return the number of the value that it writes."""
        output = self.add(Value(tuple(shape)))
        self.steps.append(Step(operation, list(inputs), output, dict(settings or {})))
        return output

    def constants_of(self, node: Node) -> list[Tensor] | None:
        """Return the numbers of all results of a node if none depends on the input."""
        place = self._places[node]
        found = [self.values[one].constant for one in ([place] if isinstance(place, int) else place)]
        return None if any(one is None for one in found) else [one for one in found if one is not None]

    def constant_of(self, node: Any) -> Tensor | None:
        """Return the numbers of a node that does not depend on the input."""
        return self.values[self.place(node)].constant if isinstance(node, Node) else torch.tensor(float(node))

    def as_data(self, store: "Store") -> dict[str, Any]:
        """Return the program as plain data for JSON, without the values that no step needs.

        Args:
            store: Keeps the numbers that do not depend on the input. The programs of a model share it.
        """
        used = {place for step in self.steps for place in (*step.inputs, step.output)}
        used |= {*self.inputs.values(), *self.outputs.values()}
        used |= {value.of[0] for place in list(used) if (value := self.values[place]).of is not None}
        values = [_value_as_data(value, store) if i in used else None for i, value in enumerate(self.values)]
        steps = [[step.operation, step.inputs, step.output, step.settings] for step in self.steps]
        return {"values": values, "steps": steps, "inputs": self.inputs, "outputs": self.outputs}


class Store:
    """Numbers for the page, each tensor once, such as the encoder's weights that a classifier shares."""

    def __init__(self) -> None:
        self._places: dict[tuple[str, str], int] = {}

    def keep(self, numbers: Tensor) -> int:
        """Keep a tensor and return its place in `as_data`."""
        ((kind, text),) = numbers_as_text(numbers.contiguous()).items()
        return self._places.setdefault((kind, text), len(self._places))

    def as_data(self) -> list[dict[str, str]]:
        """Return every tensor as `numbers_as_text`."""
        return [{kind: text} for kind, text in self._places]


def numbers_as_text(numbers: Tensor) -> dict[str, str]:
    """Return numbers as base64: float16 or 32-bit integers if nothing is lost by it, otherwise float32."""
    if not numbers.is_floating_point() and numbers.dtype != torch.bool:
        return {"i4": _base64(numbers.numpy().astype("<i4"))}
    array = numbers.float().numpy()
    with np.errstate(over="ignore"):
        half = array.astype("<f2")
    return {"f2": _base64(half)} if np.array_equal(half.astype("<f4"), array) else {"f4": _base64(array.astype("<f4"))}


def _value_as_data(value: Value, store: Store) -> dict[str, Any]:
    data: dict[str, Any] = {"shape": list(value.shape)}
    if value.constant is not None:
        data["constant"] = store.keep(value.constant)
    if value.of is not None:
        data["of"] = list(value.of)
    return data


def _base64(array: Any) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
