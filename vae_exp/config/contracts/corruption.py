"""The contract of a corruption."""

import torch

from vae_exp.config.contracts.tensors import check_floats
from vae_exp.corruption import Corruption
from vae_exp.foreign import reported
from vae_exp.network import Shape


def check_corruption(corruption: Corruption, shape: Shape, key: str) -> None:
    """Hold a corruption against its contract.

    Raises:
        PartError: It does not keep the contract.
    """
    with reported(key):
        check_floats(corruption(torch.rand(2, *shape)), (2, *shape), key, f"{type(corruption).__name__}(x)")
