"""A run's side of an ensemble."""

import logging
from collections.abc import Iterator
from typing import Any

from torch import Tensor

from vae_exp.architecture import EStep
from vae_exp.dataset.batches import Execution, TrainingStream
from vae_exp.training.engine.captured import UPDATES_PER_GRAPH
from vae_exp.training.engine.member import Member
from vae_exp.training.engine.together import Block, Join, Updated
from vae_exp.training.engine.update import Update
from vae_exp.training.turns import Place

log = logging.getLogger(__name__)

BATCHES_PER_MEETING = 10
"""Batches between two meetings of the runs, if updates are not captured."""


class Partner:
    """Asks for the updates of a run as a member of an ensemble, until the run trains alone.

    Args:
        place: The place of the run among those that take turns.
        member: The run.
        update: One update of the run alone.
        seen: The samples that the run has seen.
        product: Who computes the matrix products of an ensemble.

    Attributes:
        together: Whether the run is a member of an ensemble.
    """

    def __init__(self, place: Place[Any], member: Member, update: Update, seen: int, product: str) -> None:
        self._place, self._member, self._update, self._seen, self._product = place, member, update, seen, product
        self._updated: Updated | None = None
        members = place.meet(Join(member))
        self.together = members > 1
        if self.together:
            log.info("Training as an ensemble of %d", members)
        else:
            self._leave("no other job is like this one")

    @property
    def names(self) -> list[str]:
        """The names of the losses; empty before the first update of an ensemble."""
        return [] if self._updated is None else self._updated.names

    def computation(self) -> dict[str, Any]:
        """For the results, what `Engine.computation` returns; empty if the latest update was not an ensemble's."""
        if self._updated is None:
            return {}
        return {**self._updated.computation, "product": self._product}

    def blocks(self, batches: Execution) -> Iterator[tuple[int, Tensor]]:
        """Update on all whole batches, or on as many as there are before the run trains alone.

        Yields:
            The number of images of K updates, and their losses, (K, 1 + terms).
        """
        for size in (UPDATES_PER_GRAPH if self._member.captures else BATCHES_PER_MEETING, 1):
            while self.together and (block := next(batches.blocks(size), None)) is not None:
                answer = self._place.meet(Block(self._member, block, self._seen))
                if isinstance(answer, Updated):
                    self._updated = answer
                    self._seen += block.numel()
                    yield block.numel(), answer.losses
                else:
                    self._leave(answer)
                    yield from self._alone(block)

    def _alone(self, block: Tensor) -> Iterator[tuple[int, Tensor]]:
        schedule = self._member.schedule
        for x, y, counts in self._member.stream.serve(block):
            schedule.before(self._seen)
            losses = self._update(x, y, counts, len(x))
            schedule.after()
            self._seen += len(x)
            yield len(x), losses[None]

    def _leave(self, reason: str) -> None:
        self._place.leave()
        log.info("Training alone, not as an ensemble: %s", reason)
        self.together, self._updated = False, None


def why_alone(e_step: EStep | None, stream: TrainingStream) -> str:
    """Return the reason why a run cannot be a member of an ensemble; empty if it can."""
    if e_step is not None:
        return "this objective moves chains of its own before an update"
    if not stream.on_device:
        return "the images do not all lie on the device (dataset.placement)"
    return ""
