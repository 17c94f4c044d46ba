"""A likelihood from outside that does not keep its contract: one message, with the key and what is wrong."""

import pytest
from good_parts import GoodLikelihood
from torch.distributions import Independent, Laplace, Normal

from vae_exp.foreign import PartError


class Uncounted(GoodLikelihood):
    parameters_per_pixel = None


class Unsupported(GoodLikelihood):
    support = "positive"


class ByPixel(GoodLikelihood):
    def forward(self, features):
        return Laplace(features, 1.0)


class Centred(GoodLikelihood):
    def forward(self, features):
        return Independent(Laplace(features.flatten(1), 1.0), 1)


class OneBatch(GoodLikelihood):
    def forward(self, features):
        batch, *shape = features.shape
        return Independent(Laplace(features.reshape(batch, *shape[-3:]), 1.0), 3)


class Features(GoodLikelihood):
    def forward(self, features):
        return features


class Detached(GoodLikelihood):
    def forward(self, features):
        return Independent(Laplace(features.detach(), 1.0), 3)


class Logarithmic(GoodLikelihood):
    """It has no density at black pixels."""

    support = "unit"

    def forward(self, features):
        class LogNormal(Normal):
            def log_prob(self, value):
                return super().log_prob(value.log()) - value.log()

        return Independent(LogNormal(features, 1.0), 3)


class Talkative(GoodLikelihood):
    def diagnostics(self, p):
        return "all is well"


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (Uncounted, r"Uncounted\.parameters_per_pixel must be a whole number, 1 or more, and is None"),
        (Unsupported, r"Unsupported\.support must be levels, unit or real, and is positive"),
        (ByPixel, r"ByPixel\(features \(2, 1, 28, 28\)\) must have the batch_shape \(2,\), and has \(2, 1, 28, 28\)"),
        (Centred, r"Centred\(features \(2, 1, 28, 28\)\) must have the event_shape \(1, 28, 28\), and has \(784,\)"),
        (OneBatch, r"RuntimeError: shape '\[3, 1, 28, 28\]' is invalid"),
        (Features, r"Features\(features \(2, 1, 28, 28\)\) must be a Distribution, and is a Tensor"),
        (Detached, r"log_prob\(x\) of Detached\(features \(2, 1, 28, 28\)\) must have a gradient, and has none"),
        (Logarithmic, r"log_prob\(x\) of Logarithmic\(.*\) must be finite for random images"),
        (Talkative, r"Talkative\.diagnostics\(p\) must be a dict of floats, and is all is well"),
    ],
)
def test_a_likelihood_that_breaks_its_contract(check, part, message):
    with pytest.raises(PartError, match=rf"^likelihood: {message}.*\(docs/own_parts\.md\)$"):
        check("likelihood", part)
