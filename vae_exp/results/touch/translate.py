"""Translate a function of a model, by way of `torch.export`, into a `Program`."""

from collections.abc import Sequence
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import Node

from vae_exp.errors import ConfigError
from vae_exp.likelihood import unvalidated
from vae_exp.results.export.formats import quiet, translating
from vae_exp.results.export.functions import Function
from vae_exp.results.touch.operations import RULES
from vae_exp.results.touch.program import Program, Value


def program_of(function: Function, outputs: Sequence[str]) -> Program:
    """Translate a function, for one image at a time.

    Args:
        function: The function.
        outputs: The names of those of its outputs that are needed.

    Raises:
        ConfigError: It cannot be traced, or uses an operation that the page does not know.
    """
    exported = _exported(function)
    program = Program(function.name)
    _read_inputs(program, function, exported)
    needed = _needed(exported, function, outputs)
    for node in exported.graph.nodes:
        if node.op == "call_function" and node in needed:
            _translate(program, node)
    results = dict(zip(function.outputs, _results(exported), strict=True))
    program.outputs.update({name: program.place(results[name]) for name in outputs})
    return program


def _exported(function: Function) -> ExportedProgram:
    example = tuple(value[:1] for value in function.inputs.values())
    with torch.no_grad(), unvalidated(), quiet(), translating(function):
        try:
            program = torch.export.export(function.module, example, strict=False)
        except Exception:  # as in `formats.traced`: the strict way takes longer and follows more of Python
            program = torch.export.export(function.module, example, strict=True)
        decomposed: ExportedProgram = program.run_decompositions()
        return decomposed


def _read_inputs(program: Program, function: Function, exported: ExportedProgram) -> None:
    """Make values of the arguments, the parameters and the buffers."""
    signature = exported.graph_signature
    stored = {**exported.state_dict, **exported.constants}
    weights = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    weights |= signature.inputs_to_lifted_tensor_constants
    names = iter(function.inputs)
    for node in exported.graph.nodes:
        if node.op == "placeholder" and node.name in weights:
            program.set(node, program.constant(stored[weights[node.name]].detach()))
        elif node.op == "placeholder":
            place = program.add(Value(program.shape(node)))
            program.set(node, place)
            program.inputs[next(names)] = place


def _results(exported: ExportedProgram) -> tuple[Node, ...]:
    (output,) = [node for node in exported.graph.nodes if node.op == "output"]
    found: tuple[Node, ...] = output.args[0]
    return found


def _needed(exported: ExportedProgram, function: Function, outputs: Sequence[str]) -> set[Node]:
    """Return the nodes that these outputs depend on. Checks of the input and other outputs are not among them."""
    waiting = [node for name, node in zip(function.outputs, _results(exported), strict=True) if name in outputs]
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
        raise ConfigError(
            f"the {program.name} of this model uses {node.target}, which model.html cannot compute. "
            "python -m vae_exp export writes the model for programs that can"
        )
    rule(program, node)


def _numbers(program: Program, node: Node) -> Any:
    found = program.constants_of(node)
    assert found is not None
    return found if isinstance(node.meta["val"], tuple | list) else found[0]
