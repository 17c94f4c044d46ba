"""How matrix products, convolutions and normalisations become steps of a `Program`."""

import math
from typing import Any

import torch
from torch.fx import Node

from vae_exp.results.touch.program import Program, UnsuitableModel, Value


def product(program: Program, node: Node) -> None:
    """Translate A B, or bias + A B, of matrices, or of stacks of them (`bmm`)."""
    *bias, a, b = node.args
    assert isinstance(a, Node)
    assert isinstance(b, Node)
    *stack, rows, inner = program.shape(a)
    columns = program.shape(b)[-1]
    settings = {"stack": math.prod(stack), "rows": rows, "inner": inner, "columns": columns}
    product = program.step("product", [program.place(a), program.place(b)], program.shape(node), settings)
    for one in bias:
        product = program.step("add", [product, program.place(one)], program.shape(node))
    program.set(node, product)


def convolution(program: Program, node: Node) -> None:
    """Translate a convolution, or a transposed one, of images."""
    source, kernel, bias, stride, padding, dilation, transposed, _, groups = node.args
    assert isinstance(source, Node)
    weight = program.constant_of(kernel)
    if len(program.shape(source)) != 4 or weight is None:
        raise UnsuitableModel(f"the {program.name} of this model convolves what is no image, which model.html cannot")
    assert isinstance(groups, int)
    if transposed:  # (in, out, h, w): its steps need (out, h, w; in) for every group
        weight = weight.unflatten(0, (groups, -1)).flatten(2).transpose(1, 2).contiguous()
    settings = {
        "in": program.shape(source)[1:],
        "out": program.shape(node)[1:],
        "kernel": _kernel_size(node),
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
    }
    places = [program.place(source), program.constant(weight)] + ([program.place(bias)] if bias is not None else [])
    name = "transposed" if transposed else "convolution"
    program.set(node, program.step(name, places, program.shape(node), settings))


def _kernel_size(node: Node) -> list[int]:
    """Return the height and width of a convolution's kernel."""
    kernel = node.args[1]
    assert isinstance(kernel, Node)
    return list(kernel.meta["val"].shape[2:])


def group_norm(program: Program, node: Node) -> None:
    """Translate a normalisation of groups of channels."""
    source, weight, bias, _, _, _, groups, eps = node.args
    assert isinstance(groups, int)
    _normalised(program, node, source, groups, eps, weight, bias)


def layer_norm(program: Program, node: Node) -> None:
    """Translate a normalisation over the last axes."""
    arguments: Any = node.args
    source, sizes, weight, bias, eps = arguments
    groups = math.prod(program.shape(source)) // math.prod(sizes)
    _normalised(program, node, source, groups, eps, weight, bias)


def _normalised(program: Program, node: Node, source: Any, groups: int, eps: Any, weight: Any, bias: Any) -> None:
    """Translate (x − mean)/√(variance + eps) in every group, and then a scale and a shift, of a channel each."""
    shape = program.shape(source)
    last = str(node.target).startswith("aten.native_layer_norm")
    found = program.step("normalise", [program.place(source)], shape, {"groups": groups, "eps": eps})
    for name, one in (("multiply", weight), ("add", bias)):
        if one is not None:
            sizes = program.shape(one) if last else (1, -1, *[1] * (len(shape) - 2))
            found = program.step(name, [found, _reshaped(program, one, sizes)], shape)
    program.set(node, [found])


def batch_norm(program: Program, node: Node) -> None:
    """Translate the normalisation by stored means and variances."""
    arguments: Any = node.args
    source, *stored, training, _, eps = arguments
    if training:
        raise UnsuitableModel(f"the {program.name} of this model normalises by other images, which model.html cannot")
    shape = program.shape(source)
    weight, bias, mean, variance = (None if one is None else program.constant_of(one) for one in stored)
    assert mean is not None
    assert variance is not None
    scale = (variance + eps).rsqrt() * (1 if weight is None else weight)
    shift = (0 if bias is None else bias) - mean * scale
    sizes = (1, -1, *[1] * (len(shape) - 2))
    found = program.step("multiply", [program.place(source), program.constant(scale.reshape(sizes))], shape)
    program.set(node, [program.step("add", [found, program.constant(shift.reshape(sizes))], shape)])


def view(program: Program, place: int, start: int, shape: tuple[int, ...]) -> int:
    """Return a value that shares the memory of another one."""
    value = program.values[place]
    owner, first = value.of or (place, 0)
    return program.add(Value(shape, of=(owner, first + start)))


def _reshaped(program: Program, node: Any, sizes: tuple[int, ...]) -> int:
    constant = program.constant_of(node)
    if constant is not None:
        return program.constant(constant.reshape(sizes))
    shape = tuple(torch.empty(program.shape(node), device="meta").reshape(sizes).shape)
    return view(program, program.place(node), 0, shape)
