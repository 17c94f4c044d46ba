"""The optimizers, with the ranges that their arguments may take.

One fused kernel per step where PyTorch has it. There is no `weight_decay` here: the prior on the weights
(`weight_prior`) sets it per parameter group.
"""

from collections.abc import Iterable
from typing import Annotated, Any

from annotated_types import Interval
from pydantic import NonNegativeFloat, PositiveFloat
from torch import optim

from vae_exp.errors import ConfigError

Decay = Annotated[float, Interval(ge=0, lt=1)]
Groups = Iterable[dict[str, Any]]


def adagrad(
    params: Groups, lr: PositiveFloat = 0.02, lr_decay: NonNegativeFloat = 0.0, eps: PositiveFloat = 1e-10
) -> optim.Optimizer:
    """Adagrad (Duchi et al. 2011), the paper's choice."""
    params = list(params)
    return optim.Adagrad(params, lr=lr, lr_decay=lr_decay, eps=eps, fused=_on_cpu(params))


def adam(
    params: Groups, lr: PositiveFloat = 1e-3, betas: tuple[Decay, Decay] = (0.9, 0.999), eps: PositiveFloat = 1e-8
) -> optim.Optimizer:
    """Adam (arXiv 1412.6980)."""
    return optim.Adam(params, lr=lr, betas=(betas[0], betas[1]), eps=eps, fused=True)


def rmsprop(
    params: Groups,
    lr: PositiveFloat = 1e-3,
    alpha: Decay = 0.9,
    eps: PositiveFloat = 1e-7,
    momentum: NonNegativeFloat = 0.0,
) -> optim.Optimizer:
    """RMSprop (Tieleman and Hinton 2012), with the values that Keras takes; with v the mean of squared gradients g².

    A step is lr·g/(√v + ε). Keras 3 has lr·g/√(v + ε), whose steps are shorter where gradients are small: where all
    are 10⁻⁴, and ε = 10⁻⁷, they are 0.30·lr there and 1.00·lr here.
    """
    return optim.RMSprop(params, lr=lr, alpha=alpha, eps=eps, momentum=momentum, foreach=True)


def sgd(
    params: Groups, lr: PositiveFloat = 1e-3, momentum: NonNegativeFloat = 0.0, nesterov: bool = False
) -> optim.Optimizer:
    """Stochastic gradient descent, with momentum."""
    if nesterov and not momentum:
        raise ConfigError("optimizer.nesterov=true: needs optimizer.momentum > 0")
    return optim.SGD(params, lr=lr, momentum=momentum, nesterov=nesterov, fused=True)


def _on_cpu(groups: list[dict[str, Any]]) -> bool:
    """Whether all parameters are there: the fused Adagrad is written for the CPU alone."""
    return all(p.device.type == "cpu" for group in groups for p in group["params"])
