"""The losses of several models at once: torch.vmap over their stacked parameters."""

from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value

from vae_exp.training.engine.alike import numbers, with_numbers
from vae_exp.training.engine.draws import Draw, Replayed
from vae_exp.training.engine.gradients import Eager, Loss, Tensors
from vae_exp.training.generators import Own


class Stacked:
    """Compute the losses and gradients of M models that differ at most in the values of tensors and numbers.

    The models are the last dimension of all tensors (…, M), so that a tensor with a learning rate for each model can be
    multiplied with them. In memory they are the first one.

    Args:
        losses: The losses of the models. Their parameters and buffers become views of the stacked ones.
        trained: The names of the parameters that have a gradient.
        draws: What a model draws for one batch.

    Attributes:
        parameters: The stacked parameters that have a gradient, by their names in a model.
    """

    engine = Eager.engine
    updates = False

    def __init__(self, losses: Sequence[nn.Module], trained: Collection[str], draws: Sequence[Draw]) -> None:
        self._losses, self._draws = losses, draws
        own = [_tensors(loss) for loss in losses]
        whole = {name: stacked([tensors[name] for tensors in own]) for name in own[0]}
        for i, tensors in enumerate(own):
            for name, tensor in tensors.items():
                tensor.data = whole[name][..., i]
        self.parameters = {name: nn.Parameter(whole.pop(name)) for name in trained}
        self._others = whole
        values = [numbers(loss) for loss in losses]
        self._places = [place for place, value in values[0].items() if any(each[place] != value for each in values)]
        device = next(losses[0].parameters()).device
        self._numbers = [torch.tensor([each[place] for each in values], device=device) for place in self._places]
        self._noise = [stacked([draw.like] * len(losses)) for draw in draws]

    def release(self) -> None:
        """Let each model have memory of its own again."""
        for loss in self._losses:
            for tensor in _tensors(loss).values():
                tensor.data = tensor.detach().clone()

    def draw(self, generators: Sequence[Own]) -> None:
        """Draw the random numbers for the next batch: for each model from its own generators."""
        for i, own in enumerate(generators):
            with own.current():
                for draw, noise in zip(self._draws, self._noise, strict=True):
                    draw.into(noise[..., i])

    def __call__(self, x: Tensor, y: Tensor, counts: Tensor | None = None) -> Loss:
        """Compute the losses and their gradients, which are stored in the stacked parameters.

        Args:
            x: Images (M, B, C, H, W).
            y: Labels (M, B).
            counts: The weight of each image, (M, B); None for 1 each.
        """
        with torch.no_grad():
            gradients, loss = self.gradient(dict(self.parameters), x, y, counts)
            for name, parameter in self.parameters.items():
                parameter.grad = like(gradients[name], parameter)
        return loss

    def gradient(self, values: Tensors, x: Tensor, y: Tensor, counts: Tensor | None) -> tuple[Tensors, Loss]:
        """Map values of the stacked parameters and a batch to the gradients (…, M) and the losses (M,)."""
        dims = (-1, -1, -1, -1, 0, 0, None if counts is None else 0)
        program = torch.vmap(grad_and_value(self._loss, has_aux=True), dims, out_dims=(-1, 0), randomness="error")
        result: tuple[Tensors, Loss] = program(values, self._others, self._numbers, self._noise, x, y, counts)
        return result

    def tensors(self) -> list[Tensor]:
        """Return what a call may change: parameters and buffers."""
        return [*(parameter.detach() for parameter in self.parameters.values()), *self._others.values()]

    def _loss(self, values: Tensors, others: Any, numbers: Any, noise: Any, x: Tensor, y: Tensor, counts: Any) -> Loss:
        """Compute the loss of one of the models."""
        shared, replayed = self._losses[0], Replayed(noise)
        with with_numbers(shared, dict(zip(self._places, numbers, strict=True))), replayed:
            loss: Loss = functional_call(shared, {**values, **others}, (x, y, counts))
        replayed.end()
        return loss


def stacked(tensors: Sequence[Tensor]) -> Tensor:
    """Stack tensors along a new last dimension, in whose memory each one is contiguous."""
    return torch.stack([tensor.detach() for tensor in tensors]).movedim(0, -1)


def like(gradient: Tensor, parameter: Tensor) -> Tensor:
    """Order a gradient in memory as its parameter is.

    An optimizer's fused kernels read it in that order, whatever its strides.
    """
    same = gradient.stride() == parameter.stride()
    return gradient if same else torch.empty_like(parameter).copy_(gradient)


def _tensors(loss: nn.Module) -> dict[str, Tensor]:
    return {**dict(loss.named_parameters()), **dict(loss.named_buffers())}
