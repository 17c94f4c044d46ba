"""Every prior and every family of posteriors, small, in float64."""

from functools import partial

import torch

from vae_exp.network import MLP
from vae_exp.posterior.amortized import AmortizedPosterior
from vae_exp.posterior.diagonal import Diagonal
from vae_exp.posterior.full_covariance import FullCovariance
from vae_exp.posterior.iaf import IAF
from vae_exp.posterior.planar import Planar
from vae_exp.posterior.pushforward import PACE
from vae_exp.posterior.spline import Spline
from vae_exp.posterior.sylvester import Sylvester
from vae_exp.prior.flow import Flow
from vae_exp.prior.mixture import Mixture
from vae_exp.prior.standard import StandardNormal
from vae_exp.prior.vamp import Vamp

PRIORS = {
    "standard": StandardNormal,
    "mixture": partial(Mixture, components=3),
    "vamp": partial(Vamp, components=4, begin_at="random"),
    "maf": partial(Flow, transforms=2, hidden_sizes=[8]),
    "nsf": partial(Flow, kind="nsf", transforms=2, hidden_sizes=[8]),
    "realnvp": partial(Flow, kind="realnvp", transforms=2, hidden_sizes=[8]),
}

POSTERIORS = {
    "diagonal": Diagonal,
    "full_covariance": FullCovariance,
    "planar": partial(Planar, transforms=3),
    "sylvester": partial(Sylvester, transforms=2, vectors=2),
    "householder": partial(Sylvester, kind="householder", transforms=2, vectors=3),
    "iaf": partial(IAF, transforms=2, hidden_sizes=[8], context=3),
    "spline": partial(Spline, transforms=2, hidden_sizes=[8], context=3, bins=4),
}

SHAPE = (1, 2, 2)


@torch.no_grad()
def disturb(module, scale):
    """Add noise to the parameters: a flow begins near the identity."""
    for parameter in module.parameters():
        parameter.add_(scale * torch.randn_like(parameter))


def pace(family):
    """The factor of the features of a family's steps. Divide by it, or the steps are near the identity."""
    return PACE if isinstance(family, Planar | Sylvester) else 1


def posterior(name, latent_dim, images=5, scale=0.7):
    """q(z|x) of some images, from random features, and these features."""
    torch.manual_seed(1)
    family = POSTERIORS[name](latent_dim).double()
    disturb(family, 0.3)
    features = scale * torch.randn(images, family.features, dtype=torch.float64)
    features[:, 2 * latent_dim :] /= pace(family)
    return family(features.requires_grad_()), features


def prior(name, latent_dim, family="diagonal"):
    """p(z), with random parameters where it has any."""
    torch.manual_seed(2)
    module = PRIORS[name](latent_dim, SHAPE).double()
    disturb(module, 0.2)
    q = POSTERIORS[family](latent_dim)
    encoder = AmortizedPosterior(MLP([], init_std=0.5).encoder(SHAPE, 0, q.features).double(), q.double())
    return module(lambda x: encoder(x, x.new_zeros(len(x), 0)))
