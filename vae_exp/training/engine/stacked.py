"""The losses of several models as one: torch.vmap over their stacked parameters."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from vae_exp.training.engine.alike import numbers, with_numbers
from vae_exp.training.engine.draws import Draw, Replayed
from vae_exp.training.engine.gradients import Loss
from vae_exp.training.generators import Own


class Stacked(nn.Module):
    """The losses of M models that differ at most in the values of tensors and numbers.

    The gradient of their sum is the gradient of each model. The models are the last dimension of all tensors (…, M), so
    that a tensor with a learning rate for each model can be multiplied with them, and the first one in memory.

    Args:
        losses: The losses of the models. Their parameters and buffers become views of the stacked ones.
        draws: What a model draws for one batch.
    """

    def __init__(self, losses: Sequence[nn.Module], draws: Sequence[Draw]) -> None:
        super().__init__()
        self._losses = tuple(losses)  # nn.Module does not look for parameters in a tuple
        self._draws = draws
        self.trained = [name for name, parameter in losses[0].named_parameters() if parameter.requires_grad]
        """The names of the parameters that are trained, in the models."""
        own = [_tensors(loss) for loss in losses]
        for name in own[0]:
            value = stacked([tensors[name] for tensors in own])
            if name in self.trained:
                self.register_parameter(_key(name), nn.Parameter(value))
            else:
                self.register_buffer(_key(name), value)
            for i, tensors in enumerate(own):
                tensors[name].data = value[..., i]
        device = next(self.parameters()).device
        values = [numbers(loss) for loss in losses]
        self._numbers = [place for place, value in values[0].items() if any(each[place] != value for each in values)]
        for i, place in enumerate(self._numbers):
            self.register_buffer(f"number_{i}", torch.tensor([each[place] for each in values], device=device))
        for i, draw in enumerate(draws):
            self.register_buffer(f"draw_{i}", stacked([draw.like] * len(losses)))
        self._others = [name for name in own[0] if name not in self.trained]

    def trained_parameters(self) -> list[tuple[str, nn.Parameter]]:
        """Return the stacked parameters that are trained, by their names in the models."""
        return [(name, getattr(self, _key(name))) for name in self.trained]

    def release(self) -> None:
        """Let each model have memory of its own again."""
        for loss in self._losses:
            for tensor in _tensors(loss).values():
                tensor.data = tensor.detach().clone()

    def draw(self, generators: Sequence[Own]) -> None:
        """Draw the random numbers for the next batch: for each model from its own generators."""
        results = self._buffers_of("draw", len(self._draws))
        for i, own in enumerate(generators):
            with own.current():
                for draw, result in zip(self._draws, results, strict=True):
                    draw.into(result[..., i])

    def forward(self, x: Tensor, y: Tensor, counts: Tensor | None = None) -> Loss:
        """Compute the loss of each model, and the mean of each of its terms, (M,) each; nats per image.

        Args:
            x: Images (M, B, C, H, W).
            y: Labels (M, B).
            counts: The weight of each image, (M, B); None for 1 each.
        """
        tensors = {name: getattr(self, _key(name)) for name in (*self.trained, *self._others)}
        values = self._buffers_of("number", len(self._numbers))
        drawn = self._buffers_of("draw", len(self._draws))
        dims = (-1, -1, -1, 0, 0, None if counts is None else 0)
        losses: Loss = torch.vmap(self._one, dims, randomness="error")(tensors, values, drawn, x, y, counts)
        return losses

    def _one(self, tensors: Any, values: list[Tensor], drawn: list[Tensor], x: Tensor, y: Tensor, counts: Any) -> Loss:
        shared, replayed = self._losses[0], Replayed(drawn)
        with with_numbers(shared, dict(zip(self._numbers, values, strict=True))), replayed:
            loss: Loss = functional_call(shared, tensors, (x, y, counts))
        replayed.end()
        return loss

    def _buffers_of(self, kind: str, count: int) -> list[Tensor]:
        return [getattr(self, f"{kind}_{i}") for i in range(count)]


def stacked(tensors: Sequence[Tensor]) -> Tensor:
    """Stack tensors along a new last dimension, in whose memory each one is contiguous."""
    return torch.stack([tensor.detach() for tensor in tensors]).movedim(0, -1)


def _tensors(loss: nn.Module) -> dict[str, Tensor]:
    return {**dict(loss.named_parameters()), **dict(loss.named_buffers())}


def _key(name: str) -> str:
    return name.replace(".", "/")  # what nn.Module allows
