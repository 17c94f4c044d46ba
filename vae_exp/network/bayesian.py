"""Network weights with a Gaussian posterior."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize


class GaussianPosterior(nn.Module):
    """q(w) = N(μ, diag σ²), reparameterised (arXiv 1312.6114, appendix F).

    In training, every use of the weight draws w = μ + σε; in evaluation mode, w = μ.

    Args:
        mean: The parameter, which becomes the posterior mean μ.
        std: The initial σ.
    """

    def __init__(self, mean: Tensor, std: float) -> None:
        super().__init__()
        self.log_std = nn.Parameter(torch.full_like(mean, math.log(std)))

    def forward(self, mean: Tensor) -> Tensor:
        """Return a draw or the mean, with the parameter's shape."""
        if not self.training:
            return mean
        return mean + self.log_std.exp() * torch.randn(mean.shape, dtype=mean.dtype, device=mean.device)


def make_gaussian(network: nn.Module, std: float) -> None:
    """Give every parameter of a network a Gaussian posterior around its value."""
    for module in list(network.modules()):
        for name, parameter in list(module.named_parameters(recurse=False)):
            parametrize.register_parametrization(module, name, GaussianPosterior(parameter.detach(), std))


def kl_of_weights(network: nn.Module, precision: float) -> Tensor:
    """Compute KL(q(w)‖p(w)) of all Gaussian weights, p(w) = N(0, I/λ): a scalar, in nats for the whole data set.

    It is Σ ½(λ(μ² + σ²) − 1 − log λσ²): the closed form of arXiv 1312.6114, appendix B, for any precision λ.
    """
    total = torch.zeros(())
    for mean, log_std in _posteriors(network):
        log_ratio = 2 * log_std + math.log(precision)
        total = total + 0.5 * (precision * mean.square() + log_ratio.exp() - 1 - log_ratio).sum()
    return total


def gaussian_parameters(network: nn.Module) -> set[nn.Parameter]:
    """Return the means and log deviations: `kl_of_weights` contains their prior, so they need no weight decay."""
    return {parameter for pair in _posteriors(network) for parameter in pair}


def _posteriors(network: nn.Module) -> Iterator[tuple[nn.Parameter, nn.Parameter]]:
    for module in network.modules():
        if isinstance(module, parametrize.ParametrizationList):
            (posterior,) = module
            assert isinstance(posterior, GaussianPosterior)
            yield module.original, posterior.log_std  # type: ignore[misc]
