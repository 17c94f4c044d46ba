"""The layers of flows that zuko has. All other modules import them from here.

When zuko is imported, it turns the argument checks of all of PyTorch's distributions off. Here they are restored: the
checks tell a user of a wrong pixel.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.distributions import Distribution

from vae_exp.likelihood import torch_validates

_validates = torch_validates()

from zuko.flows import MAF, NSF, MaskedAutoregressiveTransform, RealNVP  # noqa: E402
from zuko.transforms import MonotonicRQSTransform  # noqa: E402

Distribution.set_default_validate_args(_validates)

__all__ = [
    "MAF",
    "NSF",
    "MaskedAutoregressiveTransform",
    "MonotonicRQSTransform",
    "RealNVP",
    "begin_near_identity",
    "with_hidden",
]

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


def with_hidden(build: Callable[..., nn.Module], sizes: Sequence[int]) -> nn.Module:
    """Build a flow with these hidden layers in the network of each of its transforms.

    On the device `meta` zuko cannot build one, because its masks depend on values. There the flow has the sizes that it
    would have, so that its memory can be counted before it is allocated.

    Args:
        build: Builds the flow, with `hidden_features` as sizes of the hidden layers.
        sizes: The sizes.
    """
    meta = torch.get_default_device()
    if meta.type != "meta":
        return build(hidden_features=sizes)
    with torch.device("cpu"):
        flow = build(hidden_features=[1] * len(sizes)).to(meta)
    for network in [module for module in flow.modules() if isinstance(module, nn.Sequential)]:
        layers: list[Any] = [layer for layer in network if hasattr(layer, "weight")]
        if layers:
            widths = pairwise([layers[0].weight.shape[1], *sizes, layers[-1].weight.shape[0]])
            for layer, (width, out) in zip(layers, widths, strict=True):
                layer.weight, layer.bias = nn.Parameter(torch.empty(out, width)), nn.Parameter(torch.empty(out))
                if hasattr(layer, "mask"):
                    layer.mask = torch.empty(out, width, dtype=torch.bool)
    return flow
