"""How updates are computed: one after another, or many at a time as one CUDA graph."""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from vae_exp.dataset.shard import Shard
from vae_exp.errors import ConfigError
from vae_exp.training.distributed import sum_over_shards
from vae_exp.training.engine.gradients import Gradients

log = logging.getLogger(__name__)

UPDATES_PER_GRAPH = 50
"""Updates that one CUDA graph makes: its launch costs the processor less than they take."""

GRAPHS_PER_EXECUTION = 20
"""Graphs between two waits for the device."""


class Update:
    """One update: the gradient, its sum over processes, its clipping, the optimizer.

    Args:
        gradients: Images and labels to the loss; leaves its gradient in the parameters.
        parameters: The parameters of the model; those that require a gradient are trained.
        optimizer: Updates the parameters.
        shard: The part of every batch that this process trains on.
        largest_gradient_norm: To which the gradient is clipped; None leaves it alone.
        compiled: Whether the optimizer's step is compiled.
    """

    def __init__(
        self,
        gradients: Gradients,
        parameters: Iterable[nn.Parameter],
        optimizer: Optimizer,
        shard: Shard,
        largest_gradient_norm: float | None,
        compiled: bool = False,
    ) -> None:
        self._gradients = gradients
        self.parameters = [p for p in parameters if p.requires_grad]
        self._shard = shard
        self._largest_gradient_norm = largest_gradient_norm
        self._step: Callable[[], Any] = torch.compile(optimizer.step, dynamic=False) if compiled else optimizer.step
        self.names: list[str] = []
        """Of the losses."""

    def __call__(self, x: Tensor, y: Tensor, counts: Tensor | None, size: int) -> Tensor:
        """Update on a batch, or on this process's shard of it.

        Args:
            x: Images (B, C, H, W).
            y: Labels (B,).
            counts: The weight of each image, (B,); None for 1 each.
            size: Images in the whole batch.

        Returns:
            The loss and the means of its terms over the whole batch, (1 + terms,), nats per image.
        """
        loss, terms = self._gradients(x, y, counts)
        self.names = ["loss", *(f"loss/{name}" for name in terms)]
        losses = sum_over_shards(self._shard, self.parameters, torch.stack([loss, *terms.values()]).detach(), size)
        if self._largest_gradient_norm is not None:
            clip_grad_norm_(self.parameters, self._largest_gradient_norm)
        self._step()
        return losses


class Captured:
    """Many updates as one CUDA graph, replayed on other images: the device waits for no Python between them.

    The first block of updates runs as itself, so that every kernel and buffer is there; the second is captured. The
    random numbers are those that the updates would draw one by one: a graph takes them from the device's generator and
    moves it on. So a run may be saved and resumed between any two blocks.

    Args:
        update: One update.
        serve: Which images (K, B) to images, labels and counts of K batches.
        optimizer: Of the update.
        capture: A function, and where it leaves its result, to what runs its kernels again.
        required: Whether to end, not to go on without a graph, where it cannot be made.

    Attributes:
        failed: Whether it could not be made.
    """

    def __init__(
        self,
        update: Update,
        serve: Callable[[Tensor], Iterable[tuple[Tensor, Tensor, Tensor | None]]],
        optimizer: Optimizer,
        capture: Callable[[Callable[[], Tensor]], Callable[[], Tensor]],
        required: bool,
    ) -> None:
        self._update, self._serve, self._optimizer, self._capture = update, serve, optimizer, capture
        self._required, self.failed = required, False
        self._index: Tensor | None = None
        self._replay: Callable[[], Tensor] | None = None

    def __call__(self, index: Tensor) -> Tensor:
        """Update on K batches, one after another.

        Args:
            index: Which training images they are, (K, B) int64.

        Returns:
            The losses of each, (K, 1 + terms).

        Raises:
            ConfigError: The graph is required and cannot be made.
        """
        if self._index is None:
            self._index = index.clone()
            make_capturable(self._optimizer)
            return aside(self._run, index.device)
        self._index.copy_(index)
        steps = self._steps_in_memory()
        before = [step.clone() for step in steps]
        if self._replay is None and not self.failed:
            self._make()
        if self._replay is None:
            for step, then in zip(steps, before, strict=True):
                step.copy_(then)
            return self._run()
        losses = self._replay()
        # what the optimizer counts on the processor was not counted by the device
        for step, then in zip(steps, before, strict=True):
            step.copy_(then + len(index))
        for parameter, gradient in zip(self._update.parameters, self._gradients, strict=True):
            parameter.grad = gradient
        return losses.clone()

    def _make(self) -> None:
        try:
            self._replay = self._capture(self._run)
            self._gradients = [p.grad for p in self._update.parameters]
        except RuntimeError as error:
            reason = str(error).partition("\n")[0]
            if self._required:
                raise refuse(reason) from error
            log.warning("Training without a CUDA graph: %s", reason)
            self.failed = True

    def _run(self) -> Tensor:
        assert self._index is not None
        return torch.stack([self._update(x, y, counts, len(x)) for x, y, counts in self._serve(self._index)])

    def _steps_in_memory(self) -> list[Tensor]:
        steps = [state["step"] for state in self._optimizer.state.values() if "step" in state]
        return [step for step in steps if step.device.type == "cpu"]


def aside(function: Callable[[], Tensor], device: torch.device) -> Tensor:
    """What a function returns that on a GPU runs on another stream, as what is captured afterwards has to."""
    if device.type != "cuda":
        return function()
    stream = torch.cuda.Stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        result = function()
    torch.cuda.current_stream(device).wait_stream(stream)
    return result


def cuda_graph(function: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """A function that launches kernels, to a function that launches all of them at once on the same memory."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = function()

    def replay() -> Tensor:
        graph.replay()
        return result

    return replay


@contextmanager
def matmul_precision(precision: str) -> Iterator[None]:
    """Let matrix products of float32 be as precise as torch.set_float32_matmul_precision has it, for a while."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def make_capturable(optimizer: Optimizer) -> None:
    """Let an optimizer keep on the device what its steps change, where it can."""
    for group in optimizer.param_groups:
        if "capturable" in group and all(p.is_cuda for p in group["params"]):
            group["capturable"] = True
            for parameter in group["params"]:
                state = optimizer.state.get(parameter, {})
                if "step" in state:
                    state["step"] = state["step"].to(parameter.device)


def why_not_captured(device: torch.device, amortized: bool, processes: int, optimizer: Optimizer) -> str:
    """What keeps updates from being captured; empty where nothing does."""
    if device.type != "cuda":
        return f"CUDA graphs are for GPUs, and this run is on {device.type}"
    if processes > 1:
        return "one run on several devices is not captured"
    if not amortized:
        return "this objective moves chains of its own before an update"
    if any(group.get("lr_decay") for group in optimizer.param_groups):
        return "optimizer.lr_decay changes the step in Python"
    return ""


def refuse(reason: str) -> ConfigError:
    """The error where captured updates are asked for and cannot be had."""
    return ConfigError(f"trainer.engine=captured: {reason}. trainer.engine=auto takes what there is")
