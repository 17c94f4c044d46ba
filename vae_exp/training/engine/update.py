"""One update of the parameters: the gradient, its sum over processes, clipping, and the optimizer's step."""

import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from vae_exp.dataset.shard import Shard
from vae_exp.training.distributed import sum_over_shards
from vae_exp.training.engine.gradients import Loss


class Step:
    """What follows the gradient: sum it over processes, clip it, and call the optimizer.

    Args:
        parameters: The parameters of the model; those that require a gradient are trained.
        optimizer: Updates the parameters.
        shard: The part of every batch that this process trains on.
        largest_gradient_norm: Clip the gradient to this norm; None does not clip it.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        optimizer: Optimizer,
        shard: Shard,
        largest_gradient_norm: float | None,
    ) -> None:
        self.parameters = [p for p in parameters if p.requires_grad]
        self._optimizer, self._shard, self._largest_gradient_norm = optimizer, shard, largest_gradient_norm
        # PyTorch's wrappers of `step` (hooks, the profiler) cannot be traced
        self._plain_step = inspect.unwrap(type(optimizer).step)

    def __call__(self, losses: Tensor, size: int) -> Tensor:
        """Update by the stored gradient.

        Args:
            losses: The means of the losses over this process's shard, (N,), nats per image.
            size: Images in the whole batch.

        Returns:
            The means over the whole batch, (N,).
        """
        losses = sum_over_shards(self._shard, self.parameters, losses, size)
        self.apply()
        return losses

    def clip(self) -> None:
        """Clip the stored gradient."""
        if self._largest_gradient_norm is not None:
            clip_grad_norm_(self.parameters, self._largest_gradient_norm)

    def apply(self) -> None:
        """Clip the stored gradient, and call the optimizer."""
        self.clip()
        self._optimizer.step()

    def trace(self) -> None:
        """Do what `apply` does, in a form that torch.compile can trace."""
        self.clip()
        self._plain_step(self._optimizer)

    @property
    def is_traceable(self) -> bool:
        """Whether a program can contain this step: one process trains, and the optimizer is PyTorch's own.

        Another optimizer may keep a state in Python, which a program would not change.
        """
        return self._shard.size == 1 and type(self._optimizer).__module__.startswith("torch.optim.")

    @property
    def clips(self) -> bool:
        """Whether the gradient is clipped."""
        return self._largest_gradient_norm is not None

    def state(self) -> list[Tensor]:
        """Return the tensors of the optimizer's state."""
        states = self._optimizer.state.values()
        return [value for state in states for value in state.values() if isinstance(value, Tensor)]

    @contextmanager
    def by_formulas(self) -> Iterator[None]:
        """Let the optimizer compute by PyTorch's operators in this context: its fused kernels cannot be traced."""
        before = [dict(group) for group in self._optimizer.param_groups]
        for group in self._optimizer.param_groups:
            group |= {name: None for name in ("fused", "foreach") if name in group}
        try:
            yield
        finally:
            for group, flags in zip(self._optimizer.param_groups, before, strict=True):
                group |= {name: flags[name] for name in ("fused", "foreach") if name in flags}


class Traced(Protocol):
    """A step that a compiled program can contain."""

    def clip(self) -> None:
        """Clip the stored gradient."""

    def apply(self) -> None:
        """Clip the stored gradient and update, as it is done without a program."""

    def trace(self) -> None:
        """Do what `apply` does, in a form that torch.compile can trace."""

    def state(self) -> list[Tensor]:
        """Return the tensors that both may change, besides the parameters."""

    def by_formulas(self) -> AbstractContextManager[None]:
        """Let `trace` compute by PyTorch's operators in this context."""


class Compute(Protocol):
    """Computes the gradient of a batch, and stores it in the parameters; may also update them.

    Attributes:
        updates: Whether the latest call has also updated the parameters.
    """

    updates: bool

    def __call__(self, x: Tensor, y: Tensor, counts: Tensor | None) -> Loss:
        """Compute the loss of a batch."""


class Update:
    """Do one update.

    Args:
        compute: Computes the gradient, and may include the step.
        step: What follows the gradient: maps the losses and the size of the batch to the losses of the whole batch.
    """

    def __init__(self, compute: Compute, step: Callable[[Tensor, int], Tensor]) -> None:
        self._compute, self._step = compute, step
        self.names: list[str] = []
        """The names of the losses."""

    def __call__(self, x: Tensor, y: Tensor, counts: Tensor | None, size: int) -> Tensor:
        """Update on a batch, or on this process's shard of it.

        Args:
            x: Images (B, C, H, W).
            y: Labels (B,).
            counts: The weight of each image, (B,); None for 1 each.
            size: Images in the whole batch.

        Returns:
            The loss and the means of its terms over the whole batch, (1 + terms,), or (M, 1 + terms) of M models; nats
            per image.
        """
        loss, terms = self._compute(x, y, counts)
        self.names = ["loss", *(f"loss/{name}" for name in terms)]
        losses = torch.stack([loss, *terms.values()], -1).detach()
        return losses if self._compute.updates else self._step(losses, size)
