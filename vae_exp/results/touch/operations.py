"""How PyTorch's core operations become steps of a `Program`. The names of the steps are those of `engine.js`."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from vae_exp.results.touch.layers import batch_norm, convolution, group_norm, layer_norm, product, view
from vae_exp.results.touch.program import Program, Rule, UnsuitableModel


def _same_numbers(program: Program, node: Node) -> None:
    """Translate a view or a copy: the same numbers in the same order."""
    source = node.args[0]
    assert isinstance(source, Node)
    wanted, given = node.meta["val"].dtype, source.meta["val"].dtype
    if given.is_floating_point and not wanted.is_floating_point and wanted != torch.bool:
        raise UnsuitableModel(
            f"the {program.name} of this model rounds numbers ({node.target}), which model.html cannot"
        )
    if math.prod(program.shape(node)) == math.prod(program.shape(source)):
        program.set(node, view(program, program.place(source), 0, program.shape(node)))
    else:
        _move(program, node)


def _move(program: Program, node: Node) -> None:
    """Translate an operation that only moves numbers: apply it to their positions."""
    source, *others = node.args
    assert isinstance(source, Node)
    shape = program.shape(source)
    target: Any = node.target
    positions = torch.arange(math.prod(shape)).reshape(shape)
    moved = target(positions, *others, **node.kwargs)
    if isinstance(moved, Tensor):
        program.set(node, _picked(program, program.place(source), moved))
    else:
        program.set(node, [_picked(program, program.place(source), part) for part in moved])


def _pad(program: Program, node: Node) -> None:
    """Translate a padding with a constant."""
    source, sizes, *value = node.args
    assert isinstance(source, Node)
    shape = program.shape(source)
    positions = torch.arange(math.prod(shape)).reshape(shape)
    padded = torch.ops.aten.constant_pad_nd.default(positions, sizes, -1)  # the position −1 stands for the value
    index = program.constant(padded.flatten())
    settings = {"blocks": 1, "value": value[0] if value else 0}
    program.set(node, program.step("gather", [program.place(source), index], padded.shape, settings))


def _enlarge(program: Program, node: Node) -> None:
    """Translate an enlargement by the nearest pixel: the positions of one channel hold for all."""
    source = node.args[0]
    assert isinstance(source, Node)
    _, channels, height, width = program.shape(source)
    positions = torch.arange(height * width, dtype=torch.float64).reshape(1, 1, height, width)
    size = program.shape(node)[2:]
    index = program.constant(torch.nn.functional.interpolate(positions, size).long().flatten())
    settings = {"blocks": channels, "value": 0}
    program.set(node, program.step("gather", [program.place(source), index], program.shape(node), settings))


def _part(program: Program, node: Node) -> None:
    """Translate `results[i]`."""
    source, i = node.args
    assert isinstance(source, Node)
    assert isinstance(i, int)
    program.set(node, program.parts(source)[i])


def _join(program: Program, node: Node) -> None:
    """Translate a concatenation."""
    nodes: Any = node.args[0]
    axis = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", 0)
    assert isinstance(axis, int)
    shape = program.shape(node)
    before = math.prod(shape[: axis % len(shape)])
    sizes = [math.prod(program.shape(one)) // before for one in nodes]
    places = [program.place(one) for one in nodes]
    program.set(node, program.step("join", places, shape, {"before": before, "sizes": sizes}))


def _pixelwise(name: str, arguments: int, *settings: str) -> Rule:
    """Return the rule of an operation on numbers at the same place, whose shapes are broadcast.

    Args:
        name: The step.
        arguments: How many tensors, or numbers in place of tensors, it reads.
        settings: The names of the arguments that follow.
    """

    def rule(program: Program, node: Node) -> None:
        given = dict(enumerate(node.args[arguments:])) | dict(node.kwargs)
        named = {settings[key] if isinstance(key, int) else key: value for key, value in given.items()}
        values = {key: value for key, value in named.items() if value is not None}
        if not values.keys() <= set(settings):
            raise UnsuitableModel(
                f"the {program.name} of this model uses {node.target} in a way that model.html cannot"
            )
        places = [program.place(one) for one in node.args[:arguments]]
        program.set(node, program.step(name, places, program.shape(node), values))

    return rule


def _reduction(name: str) -> Rule:
    """Return the rule of a sum, mean or maximum over some axes."""

    def rule(program: Program, node: Node) -> None:
        source = node.args[0]
        assert isinstance(source, Node)
        shape = program.shape(source)
        axes: Any = node.args[1] if len(node.args) > 1 else None
        axes = range(len(shape)) if axes in (None, []) else [axis % len(shape) for axis in axes]
        kept = tuple(1 if i in axes else size for i, size in enumerate(shape))
        index = torch.arange(math.prod(kept)).reshape(kept).expand(shape).flatten()
        places = [program.place(source), program.constant(index)]
        program.set(node, program.step(name, places, program.shape(node)))

    return rule


def _along_last(name: str) -> Rule:
    """Return the rule of an operation along the last axis of size above 1: the softmax, the largest place."""

    def rule(program: Program, node: Node) -> None:
        source, *others = node.args
        assert isinstance(source, Node)
        shape = program.shape(source)
        axis = others[0] % len(shape) if others and isinstance(others[0], int) else None
        if axis is None or math.prod(shape[axis + 1 :]) != 1:
            raise UnsuitableModel(
                f"the {program.name} of this model uses {node.target} in a way that model.html cannot"
            )
        program.set(node, program.step(name, [program.place(source)], program.shape(node), {"size": shape[axis]}))

    return rule


def _rows(program: Program, node: Node) -> None:
    """Translate `table[i]` with one index."""
    arguments: Any = node.args
    table, indices = arguments
    index = indices if isinstance(indices, Node) else indices[0]
    if (isinstance(indices, list) and len(indices) != 1) or index is None or math.prod(program.shape(index)) != 1:
        raise UnsuitableModel(f"the {program.name} of this model uses {node.target} in a way that model.html cannot")
    places = [program.place(table), program.place(index)]
    program.set(node, program.step("row", places, program.shape(node)))


def _picked(program: Program, place: int, positions: Tensor) -> int:
    """Return the numbers at these positions: a view if they lie one behind the other."""
    index = positions.flatten()
    shape = tuple(positions.shape)
    if len(index) and torch.equal(index, torch.arange(len(index)) + index[0]):
        return view(program, place, int(index[0]), shape)
    return program.step("gather", [place, program.constant(index)], shape, {"blocks": 1, "value": 0})


SAME = ("view", "reshape", "_unsafe_view", "unsqueeze", "squeeze", "clone", "_to_copy", "alias", "detach", "expand")
MOVED = ("permute", "transpose", "slice", "select", "split_with_sizes", "split", "flip", "repeat", "pixel_shuffle")
ALONE = [
    "abs",
    "ceil",
    "cos",
    "erf",
    "exp",
    "expm1",
    "floor",
    "log",
    "log1p",
    "logical_not",
    "neg",
    "reciprocal",
    "relu",
    "round",
    "rsqrt",
    "sigmoid",
    "sign",
    "sin",
    "sqrt",
    "tanh",
]
PAIRS = {"sub": "subtract", "mul": "multiply", "div": "divide", "maximum": "maximum", "minimum": "minimum"}
COMPARED = ("eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or", "atan2")

RULES: dict[str, Rule] = {
    **dict.fromkeys(SAME, _same_numbers),
    **dict.fromkeys(MOVED, _move),
    "constant_pad_nd": _pad,
    "upsample_nearest2d": _enlarge,
    "<built-in function getitem>": _part,
    "cat": _join,
    **{name: _pixelwise(name, 1) for name in ALONE},
    "elu": _pixelwise("elu", 1, "alpha", "scale", "input_scale"),
    "leaky_relu": _pixelwise("leaky_relu", 1, "negative_slope"),
    "gelu": _pixelwise("gelu", 1, "approximate"),
    "clamp": _pixelwise("clamp", 1, "min", "max"),
    "hardtanh": _pixelwise("clamp", 1, "min", "max"),
    "add": _pixelwise("add", 2, "alpha"),
    **{name: _pixelwise(step, 2, "alpha") for name, step in PAIRS.items()},
    "pow": _pixelwise("power", 2),
    **{name: _pixelwise(name, 2) for name in COMPARED},
    "where": _pixelwise("where", 3),
    "addmm": product,
    "mm": product,
    "bmm": product,
    "convolution": convolution,
    "native_group_norm": group_norm,
    "native_layer_norm": layer_norm,
    "native_batch_norm": batch_norm,
    "sum": _reduction("sum"),
    "mean": _reduction("mean"),
    "amax": _reduction("largest"),
    "_softmax": _along_last("softmax"),
    "_log_softmax": _along_last("log_softmax"),
    "argmax": _along_last("argmax"),
    "index": _rows,
    "embedding": _rows,
}
"""The rules by the name of PyTorch's operation."""
