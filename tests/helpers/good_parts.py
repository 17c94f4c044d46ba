"""Parts from outside that keep their contract."""

import math
import random

import numpy as np
import torch
from torch import nn
from torch.distributions import Independent, Laplace

from vae_exp.corruption import Corruption
from vae_exp.likelihood import Likelihood
from vae_exp.network import Decoder, Encoder, Network
from vae_exp.objective import Objective
from vae_exp.posterior.base import PosteriorFamily
from vae_exp.prior.base import Prior
from vae_exp.prior.normal import DiagonalNormal


class GoodEncoder(Encoder):
    def __init__(self, shape, context, out_features):
        super().__init__()
        self.shape = shape
        self.linear = nn.Linear(math.prod(shape) + context, out_features)

    def forward(self, x, c):
        return self.linear(torch.cat([x.flatten(1).repeat(len(c) // len(x), 1), c], 1))

    def squared_jacobian_norm(self, x, c):
        raise NotImplementedError

    def squared_jacobian_change(self, x, near, c):
        raise NotImplementedError

    def filters(self):
        return self.linear.weight[:, : math.prod(self.shape)].unflatten(1, self.shape)


class GoodDecoder(Decoder):
    def __init__(self, in_features, shape):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(in_features, math.prod(shape)), nn.Unflatten(1, shape))

    def forward(self, z):
        return self.layers(z)


class GoodNetwork(Network):
    def encoder(self, shape, context, out_features, activation="identity"):
        return GoodEncoder(shape, context, out_features)

    def decoder(self, in_features, shape, encoder=None):
        return GoodDecoder(in_features, shape)


class GoodLikelihood(Likelihood):
    parameters_per_pixel = 1
    density = True
    support = "real"

    def forward(self, features):
        return Independent(Laplace(features, 1.0), 3)

    def diagnostics(self, p):
        return {"scale": 1.0}


class GoodObjective(Objective):
    terms = ("nll", "kl")

    def forward(self, x, encode, p, decode):
        z, log_q = encode(x).rsample_and_log_prob((1,))
        return {"nll": -decode(z).log_prob(x).mean(0), "kl": (log_q - p.log_prob(z)).mean(0)}


class GoodPrior(Prior):
    def __init__(self, latent_dim: int, shape: tuple[int, int, int], spread: float = 1.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((latent_dim,), spread))

    def forward(self, encode):
        return Independent(Laplace(torch.zeros_like(self.scale), self.scale.abs()), 1)


class GoodPosterior(PosteriorFamily):
    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.features = 2 * latent_dim

    def forward(self, features):
        return DiagonalNormal(*features.tanh().chunk(2, -1))


class GoodCorruption(Corruption):
    def forward(self, x):
        return x * (torch.rand_like(x) < 0.5) + random.random() * np.random.rand()


def good_optimizer(params, lr: float = 0.1):
    return torch.optim.SGD(params, lr=lr)
