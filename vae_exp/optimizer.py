"""The optimizers, and the allowed ranges of their arguments.

They use one fused kernel per step if PyTorch has one. They have no `weight_decay` argument: the prior on the weights
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
    """RMSprop (Tieleman and Hinton 2012), with the default values of Keras.

    With v, the mean of the squared gradients g², a step is lr·g/(√v + ε). In Keras 3 it is lr·g/√(v + ε), which is
    shorter for small gradients: if all are 10⁻⁴ and ε = 10⁻⁷, a step is 0.30·lr in Keras and 1.00·lr here.
    """
    return optim.RMSprop(params, lr=lr, alpha=alpha, eps=eps, momentum=momentum, foreach=True)


def sgd(
    params: Groups, lr: PositiveFloat = 1e-3, momentum: NonNegativeFloat = 0.0, nesterov: bool = False
) -> optim.Optimizer:
    """Stochastic gradient descent with momentum.

    Raises:
        ConfigError: `nesterov` without momentum.
    """
    if nesterov and not momentum:
        raise ConfigError("optimizer.nesterov=true: needs optimizer.momentum > 0")
    return optim.SGD(params, lr=lr, momentum=momentum, nesterov=nesterov, fused=True)


def _on_cpu(groups: list[dict[str, Any]]) -> bool:
    """Tell whether all parameters are on the CPU: PyTorch has a fused Adagrad for the CPU only."""
    return all(p.device.type == "cpu" for group in groups for p in group["params"])
