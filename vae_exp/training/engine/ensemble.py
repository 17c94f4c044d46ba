"""Updates of several runs by one program: torch.vmap over their stacked parameters."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor

from vae_exp.likelihood import unvalidated
from vae_exp.network.linear import fast_linear
from vae_exp.training.engine import compiled
from vae_exp.training.engine.captured import UPDATES_PER_GRAPH, Captured, cuda_graph, matmul_precision
from vae_exp.training.engine.compiled import BFLOAT16_TOLERANCE, FLOAT32_TOLERANCE, difference
from vae_exp.training.engine.draws import Draw, Recorded
from vae_exp.training.engine.gradients import Eager, Tensors
from vae_exp.training.engine.joint import JointStep, OwnSteps, are_joinable, own_state
from vae_exp.training.engine.member import Member
from vae_exp.training.engine.stacked import Stacked
from vae_exp.training.engine.update import Update


class Ensemble:
    """Updates its members together. Each one's numbers are those of its run alone, up to float32 rounding.

    The parameters and buffers of each member become parts of stacked tensors. One program computes the gradients of all
    members. If it is compiled, it can contain the steps of all optimizers too. Everything else is each member's own:
    order of the images, random numbers, schedule, clipping, optimizer.

    Args:
        members: At least one member; their keys are equal, and so are their images.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        self.members = list(members)
        self.names: list[str] = []
        """The names of the losses; known after the first update."""
        self._draws: list[Draw] = []
        self._trained: list[str] = []
        """The parameters on which the loss depends: an optimizer must not see a gradient of the others."""
        self._stacked: Stacked | None = None
        self._begun = False
        """Whether the optimizers have done an update, so that they have their states."""

    def keep(self, members: Sequence[Member]) -> None:
        """Let all other members leave."""
        if len(members) == len(self.members):
            return
        if self._stacked is not None:
            self._stacked.release()
            for member in self.members:
                own_state(member.optimizer)
        self.members = list(members)
        if members:
            self._stack()

    def __call__(self, blocks: Sequence[Tensor], seen: int) -> Tensor:
        """Update on K batches, one after another.

        Args:
            blocks: For each member, the positions of the images in the training set, (K, B) int64.
            seen: The samples that each member has seen before.

        Returns:
            The losses of each batch, (M, K, 1 + terms), nats per image.

        Raises:
            ConfigError: A compiled program is required, but cannot be made or is wrong.
        """
        index = torch.stack(list(blocks), 1)
        if self._captured is not None and len(index) == UPDATES_PER_GRAPH:
            with self._settings():
                return self._captured(index).transpose(0, 1)
        losses = []
        for i, (x, y, counts) in enumerate(self._serve(index)):
            for member in self.members:
                member.schedule.before(seen + i * index.shape[2])
            with self._settings():
                losses.append(self._update(x, y, counts, index.shape[2]))
            for member in self.members:
                member.schedule.after()
        return torch.stack(losses, 1)

    def check(self, blocks: Sequence[Tensor], seen: int) -> None:
        """Stack the parameters, and compare gradients and draws on the first batches with those of each model alone.

        Raises:
            Exception: They differ, or the model does not work under torch.vmap.
        """
        self._begun = seen > 0
        before = [member.generators.state() for member in self.members]
        for member in self.members:
            member.schedule.before(seen)
        try:
            x, y, counts = next(self._serve(torch.stack([block[:1] for block in blocks], 1)))
            served = [member.generators.state() for member in self.members]
            with self._settings():
                for i, member in enumerate(self.members):
                    with member.generators.current(), Recorded() as recorded:
                        Eager(member.loss)(x[i], y[i], None if counts is None else counts[i])
                self._draws, own = recorded.draws, self.members[0].parameters()
                self._trained = [name for name, parameter in own.items() if parameter.grad is not None]
                drawn = [member.generators.state() for member in self.members]
                gradients = [_gradients(member) for member in self.members]
                for member, states in zip(self.members, served, strict=True):
                    member.generators.restore(states)
                self._stack()
                assert self._stacked is not None
                self._stacked.draw([member.generators for member in self.members])
                self._stacked(x, y, counts)
            self._steps.give_gradients()
            for member, states, expected in zip(self.members, drawn, gradients, strict=True):
                _check_same(_gradients(member), expected, member)
                if not all(map(torch.equal, states, member.generators.state())):
                    raise RuntimeError("its random numbers are not those of the run alone")
        finally:
            for member, states in zip(self.members, before, strict=True):
                member.generators.restore(states)

    def computation(self) -> dict[str, Any]:
        """Return how updates are computed: whether they are compiled, and by which engine."""
        captured = "CUDA graph, " if self._captured is not None and not self._captured.failed else ""
        is_compiled = self._compute.engine != Eager.engine
        kernels = f"{self._compute.engine}, " if is_compiled else ""
        return {"compiled": is_compiled, "engine": f"{captured}{kernels}ensemble of {len(self.members)}"}

    def _stack(self) -> None:
        self._stacked = Stacked([member.loss for member in self.members], self._trained, self._draws)
        self._steps = OwnSteps(self.members, self._stacked)
        self._joint: JointStep | None = None
        self._compute: Stacked | compiled.Compiled = self._stacked
        self._one_update = Update(self._compute, self._steps)
        self._captured: Captured | None = None
        if self.members[0].captures:
            generators = [own for member in self.members for own in member.generators.on_gpus]
            optimizers = [member.optimizer for member in self.members]
            capture = partial(cuda_graph, generators=generators)
            required = self.members[0].settings.engine == "captured"
            self._captured = Captured(self._update, self._steps.parameters, self._serve, optimizers, capture, required)

    def _compile(self) -> None:
        """Let a program compute the next updates; it is compared with the eager update on the first of them."""
        assert self._stacked is not None
        required = bool(self.members[0].settings.compiles)
        if are_joinable(self.members):
            self._joint = JointStep(self.members, self._steps)
        self._compute = compiled.Compiled(self._stacked, required, self._joint, begun=True)
        self._one_update = Update(self._compute, self._steps)

    def _serve(self, index: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
        """Read the images `index` (K, M, B); yield each batch's images (M, B, C, H, W), labels and weights (M, B)."""
        batches = self.members[0].stream.serve(index.flatten(0, 1))
        for _ in index:
            parts = []
            for member in self.members:
                with member.generators.current():  # the images may be drawn
                    parts.append(next(batches))
            x, y, counts = zip(*parts, strict=True)
            yield torch.stack(x), torch.stack(y), None if counts[0] is None else torch.stack(counts)

    def _update(self, x: Tensor, y: Tensor, counts: Tensor | None, size: int) -> Tensor:
        """Update on a batch of each member; return their losses, (M, 1 + terms)."""
        assert self._stacked is not None
        if self._begun and self.members[0].compiles and self._compute is self._stacked:
            self._compile()
        self._stacked.draw([member.generators for member in self.members])
        losses = self._one_update(x, y, counts, size)
        if self._joint is not None and self._compute.updates:  # from now on
            self._steps.give_gradients()
            self._joint.share_state()
        self._joint = None
        self._begun, self.names = True, self._one_update.names
        return losses

    @contextmanager
    def _settings(self) -> Iterator[None]:
        """Set what the trainer sets for the updates of a run alone; oneDNN's product does not work under torch.vmap."""
        settings, somewhere = self.members[0].settings, next(self.members[0].loss.parameters())
        coarse = torch.autocast(somewhere.device.type, torch.bfloat16, enabled=settings.is_coarse)
        products = matmul_precision(settings.float32_matmul_precision)
        # Lightning sets the GPU in the thread of each run, and this is another one
        with torch.cuda.device_of(somewhere), coarse, products, unvalidated(), fast_linear(False):
            yield


def _gradients(member: Member) -> Tensors:
    """Return the stored gradients of a member."""
    return {name: p.grad for name, p in member.parameters().items() if p.grad is not None}


def _check_same(gradients: Tensors, expected: Tensors, member: Member) -> None:
    """Compare gradients with those of the run alone.

    Raises:
        RuntimeError: They differ by more than rounding.
    """
    whole = torch.stack([gradient.norm() for gradient in expected.values()]).norm()
    tolerance = BFLOAT16_TOLERANCE if member.settings.is_coarse else FLOAT32_TOLERANCE
    fault = difference("gradient", gradients, expected, dict.fromkeys(expected, whole), "autograd's", *tolerance)
    if fault:
        raise RuntimeError(fault)
