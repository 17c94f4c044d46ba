"""Updates of several runs by one program: torch.vmap over their stacked parameters."""

from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value
from torch.optim import Optimizer

from vae_exp.dataset.base import Images
from vae_exp.dataset.batches import TrainingStream
from vae_exp.likelihood import unvalidated
from vae_exp.network.linear import fast_linear
from vae_exp.training.engine.alike import Number, numbers, structure, with_numbers
from vae_exp.training.engine.captured import UPDATES_PER_GRAPH, Captured, cuda_graph, matmul_precision
from vae_exp.training.engine.compiled import BFLOAT16_TOLERANCE, FLOAT32_TOLERANCE, Tensors, difference
from vae_exp.training.engine.draws import OwnDraws
from vae_exp.training.engine.gradients import Eager, Loss
from vae_exp.training.engine.losses import WeightedLoss
from vae_exp.training.engine.schedule import Schedule
from vae_exp.training.engine.update import Step
from vae_exp.training.generators import Own
from vae_exp.training.settings import TrainerSettings


@dataclass(frozen=True, eq=False)
class Member:
    """A run that can be trained together with others.

    Args:
        loss: The loss of its model.
        step: What follows the gradient: clipping and the run's own optimizer.
        optimizer: This optimizer.
        schedule: Sets its learning rate and the weights of its loss for every update.
        settings: The settings of the trainer.
        captures: Whether its updates can be captured as a CUDA graph.
        stream: Its training images, in its own order.
        generators: Its random generators.
        progress: The samples that it has seen, its budget and its evaluation points.
    """

    loss: WeightedLoss
    step: Step
    optimizer: Optimizer
    schedule: Schedule
    settings: TrainerSettings
    captures: bool
    stream: TrainingStream
    generators: Own
    progress: Hashable

    def key(self) -> Hashable:
        """Return what it must have in common with the other members."""
        stream = self.stream
        served = stream.batch_size, stream.binarize, stream.serving, len(stream.images)
        return structure(self.loss), served, self.settings, self.captures, self.progress

    def has_images_of(self, other: "Member") -> bool:
        """Return whether both are trained on the same images and labels."""
        own, others = self.stream.images, other.stream.images
        assert isinstance(own, Images)
        assert isinstance(others, Images)
        return torch.equal(own.labels, others.labels) and torch.equal(own.pixels, others.pixels)

    def tensors(self) -> Tensors:
        """Return the parameters and buffers of its loss, by name."""
        return {**dict(self.loss.named_parameters()), **dict(self.loss.named_buffers())}


class Ensemble:
    """Updates its members together. Each one's numbers are those of its run alone, up to float32 rounding.

    The parameters and buffers of each member become views of stacked tensors (M, …). One program computes the gradients
    of all members. Everything else is each member's own: order of the images, random numbers, schedule, clipping,
    optimizer.

    Args:
        members: At least one member; their keys are equal, and so are their images.

    Raises:
        Exception: The model does not work under torch.vmap, or the gradients are wrong.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        self.members = list(members)
        self.names: list[str] = []
        """The names of the losses; known after the first update."""
        self._unused: set[str] = set()
        """The parameters on which the loss does not depend: an optimizer must not see a gradient of them."""
        self._stack()

    def keep(self, members: Sequence[Member]) -> None:
        """Let all other members leave."""
        if len(members) == len(self.members):
            return
        for member in self.members:
            _give({name: tensor.clone() for name, tensor in member.tensors().items()}, member)
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
        """Compare the gradients and draws on the first batches with those of each model alone.

        Raises:
            Exception: They differ, or the model does not work under torch.vmap.
        """
        before = [member.generators.state() for member in self.members]
        for member in self.members:
            member.schedule.before(seen)
        try:
            x, y, counts = next(self._serve(torch.stack([block[:1] for block in blocks], 1)))
            served = [member.generators.state() for member in self.members]
            with self._settings():
                gradients, _ = self._gradients(x, y, counts)
                for i, member in enumerate(self.members):
                    drawn = member.generators.state()
                    member.generators.restore(served[i])
                    with member.generators.current():
                        Eager(member.loss)(x[i], y[i], None if counts is None else counts[i])
                    _check_same({name: gradient[i] for name, gradient in gradients.items()}, member)
                    if not all(map(torch.equal, drawn, member.generators.state())):
                        raise RuntimeError("its random numbers are not those of the run alone")
            parameters = self.members[0].loss.named_parameters()
            self._unused = {name for name, p in parameters if p.requires_grad and p.grad is None}
        finally:
            for member, states in zip(self.members, before, strict=True):
                member.generators.restore(states)

    @property
    def is_captured(self) -> bool:
        """Whether blocks of updates run as a CUDA graph."""
        return self._captured is not None and not self._captured.failed

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The parameters of all members that are trained."""
        return [parameter for member in self.members for parameter in member.step.parameters]

    def _stack(self) -> None:
        own = [member.tensors() for member in self.members]
        stacked = {name: torch.stack([tensors[name].detach() for tensors in own]) for name in own[0]}
        for i, member in enumerate(self.members):
            _give({name: tensor[i] for name, tensor in stacked.items()}, member)
        self._parameters = [dict(member.loss.named_parameters()) for member in self.members]
        trained = [name for name, tensor in own[0].items() if tensor.requires_grad]
        self._trained = {name: stacked.pop(name) for name in trained}
        self._others = stacked
        values = [numbers(member.loss) for member in self.members]
        device = next(iter(self._trained.values())).device
        self._numbers: dict[Number, Tensor] = {
            place: torch.tensor([each[place] for each in values], device=device)
            for place, value in values[0].items()
            if any(each[place] != value for each in values)
        }
        self._order = torch.arange(len(self.members), device=device)
        self._captured: Captured | None = None
        if self.members[0].captures:
            generators = [own for member in self.members for own in member.generators.on_gpus]
            optimizers = [member.optimizer for member in self.members]
            capture = partial(cuda_graph, generators=generators)
            required = self.members[0].settings.engine == "captured"
            self._captured = Captured(self._update, self.parameters, self._serve, optimizers, capture, required)

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
        gradients, (loss, terms) = self._gradients(x, y, counts)
        self.names = ["loss", *(f"loss/{name}" for name in terms)]
        for i, (member, parameters) in enumerate(zip(self.members, self._parameters, strict=True)):
            for name in gradients.keys() - self._unused:
                parameters[name].grad = gradients[name][i]
            member.step.apply()
        return torch.stack([loss, *terms.values()], 1)

    def _gradients(self, x: Tensor, y: Tensor, counts: Tensor | None) -> tuple[Tensors, Loss]:
        """Compute the gradients (M, …) and the losses, (M,) each."""
        shared = self.members[0].loss
        generators = [member.generators for member in self.members]

        def loss(trained: Tensors, others: Tensors, values: Any, number: Tensor, x: Tensor, y: Tensor, c: Any) -> Loss:
            with with_numbers(shared, values), OwnDraws(number, generators):
                result: Loss = functional_call(shared, {**trained, **others}, (x, y, c))
            return result

        dims = (0, 0, 0, 0, 0, 0, None if counts is None else 0)
        program = torch.vmap(grad_and_value(loss, has_aux=True), dims, randomness="error")
        with torch.no_grad():
            result: tuple[Tensors, Loss] = program(
                self._trained, self._others, self._numbers, self._order, x, y, counts
            )
        return result

    @contextmanager
    def _settings(self) -> Iterator[None]:
        """Set what the trainer sets for the updates of a run alone; oneDNN's product does not work under torch.vmap."""
        settings, device = self.members[0].settings, self._order.device.type
        coarse = torch.autocast(device, torch.bfloat16, enabled=settings.is_coarse)
        products = matmul_precision(settings.float32_matmul_precision)
        # Lightning sets the GPU in the thread of each run, and this is another one
        with torch.cuda.device_of(self._order), coarse, products, unvalidated(), fast_linear(False):
            yield


def _give(tensors: Tensors, member: Member) -> None:
    """Let the parameters and buffers of a member have the memory of these tensors."""
    for name, tensor in member.tensors().items():
        tensor.data = tensors[name]


def _check_same(gradients: Tensors, member: Member) -> None:
    """Compare gradients with the stored ones of the run alone.

    Raises:
        RuntimeError: They differ by more than rounding.
    """
    parameters = dict(member.loss.named_parameters())
    alone = {name: parameters[name].grad for name in gradients}
    expected = {name: gradients[name] * 0 if gradient is None else gradient for name, gradient in alone.items()}
    whole = torch.stack([gradient.norm() for gradient in expected.values()]).norm()
    tolerance = BFLOAT16_TOLERANCE if member.settings.is_coarse else FLOAT32_TOLERANCE
    fault = difference("gradient", gradients, expected, dict.fromkeys(expected, whole), "autograd's", *tolerance)
    if fault:
        raise RuntimeError(fault)
