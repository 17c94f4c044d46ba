"""The choice of an engine: eager, compiled or captured updates."""

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from vae_exp.architecture import EStep
from vae_exp.dataset.batches import Execution, TrainingBatch, TrainingStream
from vae_exp.dataset.shard import Shard
from vae_exp.network.linear import fast_linear, product_library
from vae_exp.training.engine import compiled
from vae_exp.training.engine.captured import (
    GRAPHS_PER_EXECUTION,
    UPDATES_PER_GRAPH,
    Captured,
    cuda_graph,
    not_captured_error,
    why_not_captured,
)
from vae_exp.training.engine.gradients import Eager
from vae_exp.training.engine.losses import WeightedLoss
from vae_exp.training.engine.member import Member
from vae_exp.training.engine.partner import Partner, why_alone
from vae_exp.training.engine.schedule import Schedule
from vae_exp.training.engine.update import Step, Update
from vae_exp.training.settings import TrainerSettings
from vae_exp.training.turns import Place

log = logging.getLogger(__name__)

BATCHES_PER_READ = 10
"""Batches that are read at once if updates are not captured. Their images stay in the processor's cache."""


class Engine:
    """Computes the updates of a run, in the way that the trainer's settings and the device allow.

    Args:
        loss: The loss of the model.
        schedule: Sets the learning rate and the weights of the loss for every update.
        optimizer: Updates the parameters.
        settings: What the user chose: `engine`, `compiles`, `precision` and others.
        shard: The part of every batch that this process trains on.
        serve: Reads the images of whole batches on the device; None if they do not all lie there.
        batch_size: Images per batch.
        updates: The number of updates in the budget.
        e_step: The E step that comes before updates, which cannot be captured; None if there is none.
        begun: Whether the run continues after its first update.

    Raises:
        ConfigError: Captured updates are required and cannot be had.
    """

    def __init__(
        self,
        loss: WeightedLoss,
        schedule: Schedule,
        optimizer: Optimizer,
        settings: TrainerSettings,
        shard: Shard,
        serve: Callable[[Tensor], Iterator[tuple[Tensor, Tensor, Tensor | None]]] | None,
        batch_size: int,
        updates: int,
        e_step: EStep | None,
        begun: bool,
    ) -> None:
        device = next(loss.parameters()).device
        self._batch_size = batch_size
        self._e_step = e_step
        self.schedule = schedule
        self._asked: int | None = settings.steps_per_execution
        reason = why_not_captured(device, e_step is None, shard.size, optimizer, schedule.changes)
        if serve is None:
            reason = reason or "the images do not all lie on the device (dataset.placement)"
        required = settings.engine == "captured"
        if reason and required:
            raise not_captured_error(reason)
        step = Step(loss.parameters(), optimizer, shard, settings.gradient_clip_val)
        eager = Eager(loss)
        self._compute: Eager | compiled.Compiled = eager
        compiles = compiled.compiling_pays(loss, updates) if settings.compiles is None else settings.compiles
        if compiles:
            # a program would contain the learning rate
            included = step if step.is_traceable and not schedule.changes_rate else None
            self._compute = compiled.Compiled(eager, bool(settings.compiles), included, begun)
        self._update = Update(self._compute, step)
        # a batch of another size would need a compilation of its own
        self._update_on_rest = Update(eager, step)
        self._captured: Captured | None = None
        if serve is not None and not reason and settings.engine in ("auto", "captured"):
            self._captured = Captured(self._update, step.parameters, serve, [optimizer], cuda_graph, required)
        # a schedule and an E step prepare each update
        self._serve = serve if shard.size == 1 and e_step is None and not schedule.changes else None
        self._product = _products(loss, batch_size, settings)
        self._loss, self._settings = loss, settings
        captures = self._captured is not None
        self._as_member = partial(Member, loss, step, optimizer, schedule, settings, compiles, captures)
        self._partner: Partner | None = None

    def join(self, place: Place[Any], stream: TrainingStream, seen: int, budget: int, goals: Sequence[int]) -> None:
        """Train together with the runs that take turns with this one and are like it.

        Args:
            place: The place of this run among those that take turns.
            stream: The training batches.
            seen: The samples that this run has seen.
            budget: The samples at which it ends.
            goals: The samples at which it is evaluated.
        """
        if reason := why_alone(self._e_step, stream):
            place.leave()
            log.info("Training alone, not as an ensemble: %s", reason)
            return
        with fast_linear(False):  # torch.vmap does not work on its operation
            product = _products(self._loss, self._batch_size, self._settings)
        member = self._as_member(stream, place.generators, (seen, budget, tuple(goals), self.updates_per_execution))
        self._partner = Partner(place, member, self._update, seen, product)

    def update(self, batch: TrainingBatch) -> Tensor | None:
        """Update on a batch, or on this process's shard of it, after the E step, if there is one.

        Returns:
            The loss and its terms, (1 + terms,), in nats per image. None if the weights are not updated: this
            evaluation of the batch belongs to the E step, or the budget ends inside the batch.
        """
        if not batch.complete:
            return None
        self.schedule.before(batch.stop - batch.size)
        losses = None
        if self._e_step is None or self._e_step(batch.x, batch.y, batch.indices):
            update = self._update if batch.size == self._batch_size else self._update_on_rest
            losses = update(batch.x, batch.y, batch.weights, batch.size)
        self.schedule.after()
        return losses

    def blocks(self, batches: Execution) -> Iterator[tuple[int, Tensor]]:
        """Update on as many whole blocks of batches as there are, if a block can be read at once.

        Yields:
            The number of images of K updates, and their losses, (K, 1 + terms): of a whole block if updates are
            captured, otherwise of one update.
        """
        if self._partner is not None:
            yield from self._partner.blocks(batches)
        if self._captured is not None:
            for block in batches.blocks(UPDATES_PER_GRAPH):
                yield block.numel(), self._captured(block)
        elif self._serve is not None:
            for block in batches.blocks(BATCHES_PER_READ):
                for x, y, counts in self._serve(block):
                    yield len(x), self._update(x, y, counts, len(x))[None]

    @property
    def updates_per_execution(self) -> int:
        """The number of updates between two waits for the device; many if a GPU runs captured updates."""
        return self._asked or UPDATES_PER_GRAPH * (GRAPHS_PER_EXECUTION if self._captured else 1)

    @property
    def names(self) -> list[str]:
        """The names of the losses that an update returns; empty before the first update."""
        together = [] if self._partner is None else self._partner.names
        return together or self._update.names or self._update_on_rest.names

    def computation(self) -> dict[str, Any]:
        """For the results: whether updates are compiled, which engine runs them, and who computes the products."""
        if self._partner is not None and (together := self._partner.computation()):
            return together
        kernels = self._compute.engine
        captured = self._captured is not None and not self._captured.failed
        engine = f"CUDA graph, {kernels}" if captured else kernels
        return {"compiled": kernels != "eager", "engine": engine, "product": self._product}


def _products(model: nn.Module, batch_size: int, settings: TrainerSettings) -> str:
    """Name the library that computes matrix products, and their precision if it is not the highest."""
    device = next(model.parameters()).device
    product = "bfloat16" if settings.is_coarse else product_library(model, batch_size, device)
    precision = settings.float32_matmul_precision
    return product if precision == "highest" else f"{product}, {precision} precision"
