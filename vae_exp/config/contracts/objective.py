"""The contract of an objective."""

from copy import deepcopy

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from vae_exp.config.contracts.tensors import check_terms, check_trainable
from vae_exp.foreign import reported, require
from vae_exp.likelihood import Gaussian
from vae_exp.network import MLP
from vae_exp.objective import ChangesDecoder, HasEStep, Objective
from vae_exp.posterior.amortized import AmortizedPosterior
from vae_exp.posterior.diagonal import Diagonal

SHAPE = (1, 3, 4)
LATENT_DIM = 2


def check_objective(objective: Objective, key: str) -> None:
    """Hold an objective against its contract, with a small model of our own parts.

    Args:
        objective: The objective. A copy is used, because some objectives keep a state.
        key: Its key on the command line.

    Raises:
        PartError: It does not keep the contract.
    """
    name = type(objective).__name__
    with reported(key):
        names = getattr(objective, "terms", ())
        are_names = isinstance(names, tuple) and bool(names) and all(isinstance(term, str) for term in names)
        require(are_names, key, f"{name}.terms must be a tuple of names, and is {names}")
        _check_loss(deepcopy(objective), name, key)


def _check_loss(objective: Objective, name: str, key: str) -> None:
    network, likelihood = MLP([3], init_std=None), Gaussian(variance="fixed")
    family = Diagonal(LATENT_DIM)
    encoder = network.encoder(SHAPE, 0, family.features)
    decoder = network.decoder(LATENT_DIM, SHAPE)
    posterior = AmortizedPosterior(encoder, family)
    p = Independent(Normal(torch.zeros(LATENT_DIM), torch.ones(LATENT_DIM)), 1)
    x = torch.rand(2, *SHAPE)

    def decode(z: Tensor) -> Distribution:
        features: Tensor = decoder(z.flatten(0, -2)).unflatten(0, z.shape[:-1])
        distribution: Distribution = likelihood(features)
        return distribution

    if isinstance(objective, ChangesDecoder):
        objective.adopt(decoder)
    if isinstance(objective, HasEStep):
        objective.begin(len(x), p)
        objective.e_step(x, torch.arange(len(x)), p, lambda z, rows: decode(z))
    terms = objective(x, lambda x: posterior(x, x.new_zeros(len(x), 0)), p, decode)
    check_terms(terms, len(x), key, f"{name}(x, encode, p, decode)")
    wanted, names = sorted(objective.terms), sorted(terms)
    require(names == wanted, key, f"{name}: the names of its terms must be {wanted}, as in {name}.terms, not {names}")
    complaint = f"{name}: the sum of its terms must have a gradient for the decoder, and has none"
    check_trainable(sum(terms.values(), torch.zeros(2)), list(decoder.parameters()), key, complaint)
