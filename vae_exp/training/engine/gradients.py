"""The gradient of a loss by autograd, operator by operator."""

from collections.abc import Callable

from torch import Tensor, nn

Loss = tuple[Tensor, dict[str, Tensor]]
"""The loss and the mean of each of its terms: scalars, or of M models (M,)."""

Gradients = Callable[[Tensor, Tensor, Tensor | None], Loss]
"""Maps images, labels and the weights of the images to the loss, and stores its gradient in the parameters."""


class Eager:
    """Compute gradients by autograd, operator by operator.

    Args:
        model: A module whose `forward` maps images, labels and the weights of the images to a `Loss`.
    """

    engine = "eager"
    updates = False
    """Whether a call also updates the parameters."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._parameters = list(model.parameters())

    def __call__(self, x: Tensor, y: Tensor, counts: Tensor | None = None) -> Loss:
        """Compute the loss and its gradient, which is stored in the parameters.

        Args:
            x: Images (B, C, H, W).
            y: Labels (B,).
            counts: The weight of each image, (B,); None for 1 each.
        """
        loss, terms = self._model(x, y, counts)
        for parameter in self._parameters:
            parameter.grad = None
        loss.sum().backward()
        return loss.detach(), terms
