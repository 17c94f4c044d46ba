"""A prior or posterior from outside that does not keep its contract: one message, with the key and what is wrong."""

import pytest
import torch
from good_parts import GoodPosterior, GoodPrior
from torch import nn
from torch.distributions import Independent, Laplace, Normal

from vae_exp.errors import ConfigError
from vae_exp.foreign import PartError
from vae_exp.posterior.base import PosteriorFamily
from vae_exp.prior.base import NeedsEncoder, Prior
from vae_exp.prior.normal import DiagonalNormal


class Base(Prior):
    def __init__(self, latent_dim: int, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.loc = nn.Parameter(torch.zeros(latent_dim))


class NoEvent(Base):
    def forward(self, encode):
        return Normal(self.loc, 1.0)


class NoDistribution(Base):
    def forward(self, encode):
        return self.loc


class Untrained(Base):
    def forward(self, encode):
        return Independent(Normal(self.loc.detach(), 1.0), 1)


class Secretive(Base):
    def forward(self, encode):
        return encode(torch.zeros(1, 1, 28, 28)).base


class AnotherSize(Base, NeedsEncoder):
    def forward(self, encode):
        return Independent(Laplace(torch.zeros(7), 1.0), 1)


class Family(PosteriorFamily):
    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.features = 2 * latent_dim


class NoFeatures(Family):
    def __init__(self, latent_dim: int) -> None:
        super().__init__(latent_dim)
        self.features = 0

    def forward(self, features):
        return DiagonalNormal(features, features)


class OfTorch(Family):
    def forward(self, features):
        return Independent(Normal(features, 1.0), 1)


class Constant(Family):
    def forward(self, features):
        return DiagonalNormal(*features.detach().chunk(2, -1))


class Joined(Family):
    def forward(self, features):
        return DiagonalNormal(features[0], features[0])


@pytest.mark.parametrize(
    ("key", "part", "message"),
    [
        ("prior", NoEvent, r"must have the batch_shape \(\), and has \(2,\)"),
        ("prior", NoDistribution, "must be a Distribution, and is a Parameter"),
        ("prior", Untrained, "must have a gradient for the prior's parameters"),
        ("prior", Secretive, "calls encode, so Secretive must be a NeedsEncoder"),
        ("prior", AnotherSize, "the size of tensor"),
        ("posterior", NoFeatures, "features must be a whole number, 1 or more, and is 0"),
        ("posterior", OfTorch, "must be a Reparameterised, and is a Independent"),
        ("posterior", Constant, "must have a gradient"),
        ("posterior", Joined, r"must have the batch_shape \(2,\), and has \(\)"),
    ],
)
def test_a_part_that_breaks_its_contract(check, key, part, message):
    with pytest.raises(PartError, match=rf"^{key}: .*{message}.*\(docs/own_parts\.md\)$"):
        check(key, part)


def test_a_part_of_another_kind_is_refused(check):
    with pytest.raises(
        ConfigError, match=r"^prior\._target_=.*: a Prior is needed here$|^prior\._target_=.*does not take"
    ):
        check("prior", GoodPosterior)


def test_its_own_keys_are_given(check):
    check("prior", GoodPrior, spread=2.0)
