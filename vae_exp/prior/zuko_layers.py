"""The layers of flows that zuko has. All other modules import them from here.

When zuko is imported, it turns the argument checks of all of PyTorch's distributions off. Here they are restored: the
checks tell a user of a wrong pixel.
"""

from torch.distributions import Distribution

from vae_exp.likelihood import torch_validates

_validates = torch_validates()

from zuko.flows import MAF, NSF, MaskedAutoregressiveTransform, RealNVP  # noqa: E402
from zuko.transforms import MonotonicRQSTransform  # noqa: E402

Distribution.set_default_validate_args(_validates)

__all__ = ["MAF", "NSF", "MaskedAutoregressiveTransform", "MonotonicRQSTransform", "RealNVP"]
