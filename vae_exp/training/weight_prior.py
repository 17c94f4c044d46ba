"""Apply the prior on the weights as a weight decay of the optimizer."""

from typing import Any

from torch import nn

from vae_exp.network.bayesian import gaussian_parameters
from vae_exp.prior.base import Points


def with_weight_prior(model: nn.Module, precision_per_image: float) -> list[dict[str, Any]]:
    """Group a model's parameters for an optimizer: those with the prior N(0, I/precision), and the others.

    MAP estimation adds ½·precision·‖w‖²/N to the loss per image (arXiv 1312.6114, section 5). The gradient of this
    term is a weight decay. Biases and other vectors have a flat prior, and so have points of the latents and images.
    Weights with a posterior have their prior in the loss.

    Args:
        model: The model. Parameters that do not require a gradient are left out.
        precision_per_image: The precision of the prior divided by the number of training images N.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    points = {module.value for module in model.modules() if isinstance(module, Points)}
    decayed = {p for p in parameters if p.ndim > 1} - gaussian_parameters(model) - points
    return [
        {"params": [p for p in parameters if p in decayed], "weight_decay": precision_per_image},
        {"params": [p for p in parameters if p not in decayed], "weight_decay": 0.0},
    ]
