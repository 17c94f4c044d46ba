"""The layers of flows that zuko has. All other modules import them from here.

When zuko is imported, it turns the argument checks of all of PyTorch's distributions off. Here they are restored: the
checks tell a user of a wrong pixel.
"""

import torch
from torch import nn
from torch.distributions import Distribution

from vae_exp.likelihood import torch_validates

_validates = torch_validates()

from zuko.flows import MAF, NSF, MaskedAutoregressiveTransform, RealNVP  # noqa: E402
from zuko.transforms import MonotonicRQSTransform  # noqa: E402

Distribution.set_default_validate_args(_validates)

__all__ = ["MAF", "NSF", "MaskedAutoregressiveTransform", "MonotonicRQSTransform", "RealNVP", "begin_near_identity"]

SMALL = 0.01
"""The factor of the last parameters of a layer's network: those of the networks here begin with σ = 0.01 too."""


@torch.no_grad()
def begin_near_identity(layer: nn.Module) -> nn.Module:
    """Scale the parameters of a new layer that its transform depends on, so that the layer begins near the identity.

    A flow that begins far from it costs many nats, which training then has to win back.
    """
    linears = [module for module in layer.modules() if isinstance(module, nn.Linear)]
    for parameter in (linears[-1] if linears else layer).parameters():  # the only latent needs no network
        parameter.mul_(SMALL)
    return layer
