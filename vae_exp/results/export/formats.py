"""The formats of exported models: ONNX, programs of torch.export, and weights as safetensors."""

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram
from torch.export.graph_signature import InputKind

from vae_exp.architecture import Model
from vae_exp.errors import ConfigError, needs_extra
from vae_exp.likelihood import unvalidated
from vae_exp.results.export.functions import Function

OPSET = 18
"""The version of ONNX's operators. ONNX Runtime reads it since 1.14, and torch.onnx translates to it directly."""

LARGEST_FILE = 2**31 - 2**20
"""Bytes of weights that fit into one ONNX file, which is limited to 2 GiB. Larger weights go into a file beside it."""

TOLERANCE = 1e-4
"""The largest difference, absolute for numbers up to 1 and relative for larger ones, between a file and the model."""


Metadata = Mapping[str, str]
"""Texts that are kept in a file beside the weights."""


def write_onnx(functions: list[Function], model: Model, folder: Path, metadata: Metadata) -> dict[str, float]:
    """Write every function as `<name>.onnx`, and compute it by ONNX Runtime.

    Returns:
        The largest difference between ONNX Runtime and PyTorch for each function, over the numbers of all outputs.

    Raises:
        ConfigError: The extra `export` is not installed, or a function cannot be translated.
        DifferenceError: ONNX Runtime computes something else.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ConfigError(needs_extra("format=onnx", "export")) from error
    differences = {}
    for function in functions:
        file = folder / f"{function.name}.onnx"
        program = traced(function)
        external = sum(tensor.nbytes for tensor in program.state_dict.values()) > LARGEST_FILE
        with quiet(), translating(function):
            translated = torch.onnx.export(
                program,
                input_names=list(function.inputs),
                output_names=list(function.outputs),
                dynamic_shapes={name: {0: "batch"} for name in function.inputs},
                opset_version=OPSET,
                verbose=False,
            )
        assert translated is not None
        translated.model.metadata_props.update(metadata)
        translated.save(file, external_data=external)
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])

        def by_onnx(inputs: Mapping[str, Tensor], session: onnxruntime.InferenceSession = session) -> list[Tensor]:
            return [torch.from_numpy(y) for y in session.run(None, {name: v.numpy() for name, v in inputs.items()})]

        differences[function.name] = difference(function, by_onnx)
    return differences


def write_programs(functions: list[Function], model: Model, folder: Path, metadata: Metadata) -> dict[str, float]:
    """Write every function as `<name>.pt2`, a program that torch.export.load reads without this package.

    Returns:
        The largest difference between the program in the file and the model, for each function.

    Raises:
        ConfigError: A function cannot be traced.
        DifferenceError: The program computes something else.
    """
    differences = {}
    for function in functions:
        file = folder / f"{function.name}.pt2"
        program = traced(function)
        program.example_inputs = None  # they would be pickled
        with quiet():
            torch.export.save(program, file, extra_files=dict(metadata))
            loaded = torch.export.load(file).module()
        differences[function.name] = difference(function, lambda inputs, f=loaded: list(f(*inputs.values())))  # type: ignore[misc]
    return differences


def write_weights(functions: list[Function], model: Model, folder: Path, metadata: Metadata) -> dict[str, float]:
    """Write the weights of the whole model as `model.safetensors`, by the names of its `state_dict`.

    Returns:
        Nothing: the weights in the file are those of the model.

    Raises:
        ConfigError: The extra `export` is not installed.
    """
    try:
        from safetensors.torch import save
    except ImportError as error:
        raise ConfigError(needs_extra("format=safetensors", "export")) from error
    weights = {name: weight.contiguous() for name, weight in model.state_dict().items()}
    (folder / "model.safetensors").write_bytes(save(weights, dict(metadata)))
    return {}


WRITERS: dict[str, Callable[[list[Function], Model, Path, Metadata], dict[str, float]]] = {
    "onnx": write_onnx,
    "torch": write_programs,
    "safetensors": write_weights,
}
"""The writers by format."""


class DifferenceError(ConfigError):
    """A written file that does not compute what the model computes."""


def difference(function: Function, written: Callable[[Mapping[str, Tensor]], list[Tensor]]) -> float:
    """Compute the largest difference between a written file and the model: one image alone, and a batch of five.

    Args:
        function: The function.
        written: Computes its outputs by the written file.

    Returns:
        The largest |a − b| / max(1, |b|).

    Raises:
        DifferenceError: It is above `TOLERANCE`, or a number is not finite.
    """
    largest = 0.0
    for images in (1, 5):
        inputs = {name: value.repeat(5, *[1] * (value.ndim - 1))[:images] for name, value in function.inputs.items()}
        with torch.no_grad():
            expected = function(inputs)
        for found, right in zip(written(inputs), expected, strict=True):
            relative = (found - right).abs() / right.abs().clamp(min=1)
            largest = max(largest, relative.max().item()) if relative.isfinite().all() else float("nan")
    if not largest <= TOLERANCE:
        raise DifferenceError(
            f"the exported {function.name} differs from the model by {largest:.1g}, so nothing was written. A part "
            "that draws random numbers in evaluation mode, or decides by the values of its input, cannot be exported"
        )
    return largest


def traced(function: Function) -> ExportedProgram:
    """Trace a function into a program for a batch of any size, which has only the weights that it uses.

    Raises:
        ConfigError: A part of the model, such as a network from outside this package, does what cannot be traced.
    """
    with torch.no_grad(), unvalidated(), quiet():
        try:
            program = _trace(function, strict=False)
        except Exception:  # the strict way takes longer and also follows `len(x)`; torch raises many exceptions
            with translating(function):
                program = _trace(function, strict=True)
    _drop_unused_weights(program)
    return program


def _trace(function: Function, strict: bool) -> ExportedProgram:
    sizes = tuple({0: Dim("batch")} for _ in function.inputs)
    return torch.export.export(function.module, tuple(function.inputs.values()), dynamic_shapes=sizes, strict=strict)


def _drop_unused_weights(program: ExportedProgram) -> None:
    """Take the weights out that no operation uses, such as the decoder's in an encoder."""
    specs = program.graph_signature.input_specs
    places = {node.name: node for node in program.graph.nodes if node.op == "placeholder" and not node.users}
    for spec in [spec for spec in specs if spec.arg.name in places and spec.kind != InputKind.USER_INPUT]:
        specs.remove(spec)
        program.graph.erase_node(places[spec.arg.name])
        program.state_dict.pop(str(spec.target), None)
        program.constants.pop(str(spec.target), None)
    program.graph_module.recompile()


@contextmanager
def translating(function: Function) -> Iterator[None]:
    """Turn the exceptions of an exporter into one message."""
    try:
        yield
    except Exception as error:  # torch raises many
        cause: BaseException = error
        while cause.__cause__ is not None:  # the first names the operation, the last only the step of the exporter
            cause = cause.__cause__
        reason = " ".join(str(cause).split())
        raise ConfigError(f"the {function.name} of this model cannot be exported: {reason[:300]}") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what the exporters say about their own code off the screen."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        nowhere = StringIO()  # torch prints a program that it cannot trace
        with warnings.catch_warnings(), redirect_stdout(nowhere), redirect_stderr(nowhere):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
