"""The Laplace likelihood."""

from torch import Tensor, distributions
from torch.distributions import Distribution

from vae_exp.likelihood.location_scale import LocationScale


class Laplace(LocationScale):
    """p(x|z) = Π exp(−|x − μ|/s)/(2s), whose −log p is the absolute error over s, up to a constant if s is fixed.

    The best μ of a pixel is its median, where that of a Gaussian is its mean: few wrong pixels move it less
    (Laplace 1774, "Mémoire sur la probabilité des causes par les événements"). `LocationScale` has the arguments.
    """

    def _density(self, loc: Tensor, scale: Tensor) -> Distribution:
        return distributions.Laplace(loc, scale)

    def _slope(self, r: Tensor) -> Tensor:
        return r.abs() - 1
