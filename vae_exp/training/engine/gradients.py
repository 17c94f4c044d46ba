"""The gradient of a loss by autograd, operator by operator."""

from typing import Protocol

from torch import Tensor, nn
from torch.func import functional_call, grad_and_value

Loss = tuple[Tensor, dict[str, Tensor]]
"""The loss and the mean of each of its terms: scalars, or of M models (M,)."""

Tensors = dict[str, Tensor]


class Differentiated(Protocol):
    """A loss and its gradient.

    Attributes:
        engine: The name of what computes them.
        updates: Whether a call also updates the parameters: never.
        parameters: The parameters that are trained, by name.
    """

    engine: str
    updates: bool
    parameters: dict[str, nn.Parameter]

    def __call__(self, x: Tensor, y: Tensor, counts: Tensor | None = None) -> Loss:
        """Compute the loss and its gradient, which is stored in the parameters."""

    def gradient(self, values: Tensors, x: Tensor, y: Tensor, counts: Tensor | None) -> tuple[Tensors, Loss]:
        """Map values of the parameters and a batch to the gradient and the loss, in a form that can be traced."""

    def tensors(self) -> list[Tensor]:
        """Return what a call may change: parameters and buffers."""


class Eager:
    """Compute gradients by autograd, operator by operator.

    Args:
        model: A module whose `forward` maps images, labels and the weights of the images to a `Loss`.
    """

    engine = "eager"
    updates = False

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self.parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}

    def __call__(self, x: Tensor, y: Tensor, counts: Tensor | None = None) -> Loss:
        """Compute the loss and its gradient, which is stored in the parameters.

        Args:
            x: Images (B, C, H, W).
            y: Labels (B,).
            counts: The weight of each image, (B,); None for 1 each.
        """
        loss, terms = self._model(x, y, counts)
        for parameter in self.parameters.values():
            parameter.grad = None
        loss.backward()
        return loss.detach(), terms

    def gradient(self, values: Tensors, x: Tensor, y: Tensor, counts: Tensor | None) -> tuple[Tensors, Loss]:
        """Map values of the parameters and a batch to the gradient and the loss, in a form that can be traced."""

        def loss(values: Tensors) -> Loss:
            value: Loss = functional_call(self._model, values, (x, y, counts))
            return value

        result: tuple[Tensors, Loss] = grad_and_value(loss, has_aux=True)(values)
        return result

    def tensors(self) -> list[Tensor]:
        """Return what a call may change: parameters and buffers."""
        return [*(parameter.detach() for parameter in self._model.parameters()), *self._model.buffers()]
