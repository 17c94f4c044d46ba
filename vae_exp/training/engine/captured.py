"""Blocks of updates, captured as one CUDA graph."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from vae_exp.errors import ConfigError

log = logging.getLogger(__name__)

UPDATES_PER_GRAPH = 50
"""Updates in one CUDA graph. The CPU then needs less time to launch the graph than the GPU needs to run it."""

GRAPHS_PER_EXECUTION = 20
"""Number of graphs that are launched before the CPU waits for the GPU."""


class Captured:
    """Run blocks of K updates as one CUDA graph, so that the device does not wait for Python between the updates.

    The first block runs without a graph and creates every kernel and buffer. The second block is captured as a graph,
    which is then replayed with other images. A graph draws the same random numbers as single updates: it uses and
    advances the device's generator. So a run can be saved and resumed between any two blocks.

    Args:
        update: One update: maps the images, labels and weights of a batch and its size to the losses.
        parameters: The parameters that it changes.
        serve: Maps the positions (K, B) of images in the training set to images, labels and weights of K batches.
        optimizers: The optimizers that `update` calls.
        capture: Captures a function and returns a function that replays its kernels, such as `cuda_graph`.
        required: Whether to raise an error if the graph cannot be made. If not, train without it then.

    Attributes:
        failed: Whether the graph could not be made.
    """

    def __init__(
        self,
        update: Callable[[Tensor, Tensor, Tensor | None, int], Tensor],
        parameters: Sequence[nn.Parameter],
        serve: Callable[[Tensor], Iterable[tuple[Tensor, Tensor, Tensor | None]]],
        optimizers: Sequence[Optimizer],
        capture: Callable[[Callable[[], Tensor]], Callable[[], Tensor]],
        required: bool,
    ) -> None:
        self._update, self._serve, self._capture = update, serve, capture
        self._parameters, self._optimizers = parameters, optimizers
        self._required, self.failed = required, False
        self._index: Tensor | None = None
        self._replay: Callable[[], Tensor] | None = None

    def __call__(self, index: Tensor) -> Tensor:
        """Update on K batches, one after another.

        Args:
            index: The positions of the images in the training set, (K, …, B) int64.

        Returns:
            The losses of each batch, (K, …, 1 + terms), nats per image.

        Raises:
            ConfigError: The graph is required, but cannot be made.
        """
        if self._index is None:
            self._index = index.clone()
            for optimizer in self._optimizers:
                make_capturable(optimizer)
            return run_on_side_stream(self._run, index.device)
        self._index.copy_(index)
        steps = self._steps_on_cpu()
        before = [step.clone() for step in steps]
        if self._replay is None and not self.failed:
            self._make()
        if self._replay is None:
            for step, old in zip(steps, before, strict=True):
                step.copy_(old)
            return self._run()
        losses = self._replay()
        # a replay does not advance the optimizer's counters on the CPU
        for step, old in zip(steps, before, strict=True):
            step.copy_(old + len(index))
        for parameter, gradient in zip(self._parameters, self._gradients, strict=True):
            parameter.grad = gradient
        return losses.clone()

    def _make(self) -> None:
        try:
            self._replay = self._capture(self._run)
            self._gradients = [p.grad for p in self._parameters]
        except RuntimeError as error:
            reason = str(error).partition("\n")[0]
            if self._required:
                raise not_captured_error(reason) from error
            log.warning("Training without a CUDA graph: %s", reason)
            self.failed = True

    def _run(self) -> Tensor:
        assert self._index is not None
        return torch.stack(
            [self._update(x, y, counts, self._index.shape[-1]) for x, y, counts in self._serve(self._index)]
        )

    def _steps_on_cpu(self) -> list[Tensor]:
        """Return the optimizers' step counters that are on the CPU."""
        states = [state for optimizer in self._optimizers for state in optimizer.state.values()]
        steps = [state["step"] for state in states if "step" in state]
        return [step for step in steps if step.device.type == "cpu"]


def run_on_side_stream(function: Callable[[], Tensor], device: torch.device) -> Tensor:
    """Call a function, on a GPU in another stream, and return its result. A function must run so before its capture."""
    if device.type != "cuda":
        return function()
    stream = torch.cuda.Stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        result = function()
    torch.cuda.current_stream(device).wait_stream(stream)
    return result


def cuda_graph(function: Callable[[], Tensor], generators: Sequence[torch.Generator] = ()) -> Callable[[], Tensor]:
    """Capture a function as a CUDA graph. Return a function that launches all its kernels on the same memory.

    Args:
        function: The function.
        generators: The generators that it draws from, in addition to that of the device.
    """
    graph = torch.cuda.CUDAGraph()
    for generator in generators:
        graph.register_generator_state(generator)
    with torch.cuda.graph(graph):
        result = function()

    def replay() -> Tensor:
        graph.replay()
        return result

    return replay


@contextmanager
def matmul_precision(precision: str) -> Iterator[None]:
    """Set the precision of float32 matrix products in this context: a value of torch.set_float32_matmul_precision."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def make_capturable(optimizer: Optimizer) -> None:
    """Let an optimizer keep its step counters on the GPU, if it can: a CUDA graph cannot change values on the CPU."""
    for group in optimizer.param_groups:
        if "capturable" in group and all(p.is_cuda for p in group["params"]):
            group["capturable"] = True
            for parameter in group["params"]:
                state = optimizer.state.get(parameter, {})
                if "step" in state:
                    state["step"] = state["step"].to(parameter.device)


def why_not_captured(
    device: torch.device, amortized: bool, processes: int, optimizer: Optimizer, scheduled: bool
) -> str:
    """Return the reason why updates cannot be captured; empty if they can."""
    if device.type != "cuda":
        return f"CUDA graphs are for GPUs, and this run is on {device.type}"
    if processes > 1:
        return "one run on several devices is not captured"
    if not amortized:
        return "this objective moves chains of its own before an update"
    if any(group.get("lr_decay") for group in optimizer.param_groups):
        return "optimizer.lr_decay changes the step in Python"
    if scheduled:
        return "Python sets the learning rate or a weight of the loss before every update (scheduler, beta)"
    return ""


def not_captured_error(reason: str) -> ConfigError:
    """Return the error for a run that requires captured updates, but cannot capture them."""
    return ConfigError(f"trainer.engine=captured: {reason}. trainer.engine=auto takes what there is")
