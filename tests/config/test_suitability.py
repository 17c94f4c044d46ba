import pytest
import torch

from vae_exp.architecture import VAE
from vae_exp.config.suitability import check_pixels
from vae_exp.dataset import Dataset, Images, Info, Source, Splits
from vae_exp.errors import ConfigError
from vae_exp.likelihood import Bernoulli, Gaussian
from vae_exp.likelihood.beta import Beta
from vae_exp.likelihood.categorical import Categorical
from vae_exp.likelihood.continuous_bernoulli import ContinuousBernoulli
from vae_exp.likelihood.laplace import Laplace
from vae_exp.likelihood.logistic_mixture import LogisticMixture
from vae_exp.network import MLP
from vae_exp.objective import SGVBB

LIKELIHOODS = {
    "bernoulli": Bernoulli(),
    "continuous": ContinuousBernoulli(),
    "learned": Gaussian(),
    "shared": Gaussian("shared"),
    "fixed": Gaussian("fixed"),
    "identity": Gaussian(mean="identity"),
    "fixed identity": Gaussian("fixed", mean="identity"),
    "laplace": Laplace(),
    "laplace fixed": Laplace("fixed"),
    "laplace identity": Laplace(mean="identity"),
    "beta": Beta(),
    "logistics": LogisticMixture(),
    "categorical": Categorical(),
}
DISCRETE = {"logistics", "categorical"}
BOUNDED = {"bernoulli", "fixed", "fixed identity", "laplace fixed", *DISCRETE}
EXPLAINED = {
    ("levels", "none"): set(LIKELIHOODS),
    ("unit", "none"): set(LIKELIHOODS) - DISCRETE,
    ("real", "none"): {"identity", "fixed identity", "laplace identity"},
    ("levels", "dynamic"): BOUNDED,
    ("unit", "static"): BOUNDED,
}


class Pixels(Source):
    def __init__(self, values):
        self.values = values

    def describe(self):
        return Info((1, 2, 3), values=self.values)

    def load(self):
        images = Images(torch.rand(4, 1, 2, 3), torch.full((4,), -1))
        return Splits(images, images)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize(("values", "binarization"), EXPLAINED)
def test_a_likelihood_that_cannot_explain_the_pixels_is_refused(values, binarization, likelihood):
    model = VAE((1, 2, 3), 0, MLP([3]), LIKELIHOODS[likelihood], SGVBB(), 2)
    data = Dataset(Pixels(values), binarization=binarization)
    if likelihood in EXPLAINED[values, binarization]:
        check_pixels(model, data)
        return
    with pytest.raises(ConfigError, match=r"Allowed: .*(identity|fixed|likelihood=beta)"):
        check_pixels(model, data)


def test_real_values_are_never_binarized():
    with pytest.raises(ConfigError, match=r"dataset\.binarization=static: the values are real numbers"):
        Dataset(Pixels("real"), binarization="static")
