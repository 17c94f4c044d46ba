"""Translate a function of a model, by tracing it, into a `Program`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch.export import default_decompositions
from torch.func import functionalize
from torch.fx import GraphModule, Node
from torch.fx.experimental.proxy_tensor import make_fx

from vae_exp.likelihood import unvalidated
from vae_exp.results.export.formats import quiet
from vae_exp.results.export.functions import Function
from vae_exp.results.touch.operations import RULES
from vae_exp.results.touch.program import Program, UnsuitableModel, Value


def program_of(function: Function, outputs: Sequence[str]) -> Program:
    """Translate a function, for one image at a time.

    Args:
        function: The function.
        outputs: The names of those of its outputs that are needed.

    Raises:
        UnsuitableModel: It cannot be traced, or uses an operation that the page does not know.
    """
    traced = _traced(function)
    program = Program(function.name)
    _read_inputs(program, function, traced)
    needed = _needed(traced, function, outputs)
    for node in traced.graph.nodes:
        if node.op == "call_function" and node in needed:
            _translate(program, node)
    results = dict(zip(function.outputs, _results(traced), strict=True))
    program.outputs.update({name: program.place(results[name]) for name in outputs})
    return program


def _traced(function: Function) -> GraphModule:
    """Record the core operations that compute a function of one image. `torch.export` would take five times as long.

    Raises:
        UnsuitableModel: It cannot be traced, for example because it decides by the values of its input.
    """
    example = tuple(value[:1] for value in function.inputs.values())
    try:
        with torch.no_grad(), unvalidated(), quiet(), _compiling():
            recorded = make_fx(function.module, None, "fake", _allow_non_fake_inputs=True)(*example)
            functional = functionalize(recorded)  # without operations that write into their input
            graph: GraphModule = make_fx(functional, _decompositions(), "fake", _allow_non_fake_inputs=True)(*example)
    except Exception as error:  # torch raises many
        reason = " ".join(str(error).split())
        raise UnsuitableModel(f"the {function.name} of this model cannot be traced: {reason[:300]}") from error
    return graph


@cache
def _decompositions() -> Any:
    """Return the definitions of operations by core operations, but not those of operations that the page knows."""
    table: Any = default_decompositions()
    table.pop(torch.ops.aten.upsample_nearest2d.default)
    return table


@contextmanager
def _compiling() -> Iterator[None]:
    """Let `torch.compiler.is_compiling` be true: then the checks of inputs read no values."""
    before = torch.compiler._is_compiling_flag
    torch.compiler._is_compiling_flag = True
    try:
        yield
    finally:
        torch.compiler._is_compiling_flag = before


def _read_inputs(program: Program, function: Function, traced: GraphModule) -> None:
    """Make values of the arguments, the parameters and the buffers."""
    names = iter(function.inputs)
    for node in traced.graph.nodes:
        if node.op == "get_attr":
            program.set(node, program.constant(getattr(traced, node.target).detach()))
        elif node.op == "placeholder":
            place = program.add(Value(program.shape(node)))
            program.set(node, place)
            program.inputs[next(names)] = place


def _results(traced: GraphModule) -> tuple[Node, ...]:
    (output,) = [node for node in traced.graph.nodes if node.op == "output"]
    found: tuple[Node, ...] = output.args[0]
    return found


def _needed(traced: GraphModule, function: Function, outputs: Sequence[str]) -> set[Node]:
    """Return the nodes that these outputs depend on. Checks of the input and other outputs are not among them."""
    waiting = [node for name, node in zip(function.outputs, _results(traced), strict=True) if name in outputs]
    found: set[Node] = set()
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += node.all_input_nodes
    return found


def _translate(program: Program, node: Node) -> None:
    if all(program.constants_of(one) is not None for one in node.all_input_nodes):
        target: Any = node.target
        args, kwargs = torch.fx.node.map_arg((node.args, node.kwargs), lambda one: _numbers(program, one))
        computed = target(*args, **kwargs)
        several = isinstance(computed, tuple | list)
        program.set(node, [program.constant(one) for one in computed] if several else program.constant(computed))
        return
    rule = RULES.get(str(node.target).removeprefix("aten.").partition(".")[0])
    if rule is None:
        raise UnsuitableModel(
            f"the {program.name} of this model uses {node.target}, which model.html cannot compute. "
            "python -m vae_exp export writes the model for programs that can"
        )
    rule(program, node)


def _numbers(program: Program, node: Node) -> Any:
    found = program.constants_of(node)
    assert found is not None
    return found if isinstance(node.meta["val"], tuple | list) else found[0]
