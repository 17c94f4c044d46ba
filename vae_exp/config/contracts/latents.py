"""The contracts of a prior and of a family of posteriors."""

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae_exp.config.contracts.tensors import check_floats, check_trainable
from vae_exp.foreign import reported, require
from vae_exp.posterior.base import PosteriorFamily
from vae_exp.prior.base import NeedsEncoder, Prior, Reparameterised

IMAGES, DRAWS = 2, 3


def check_prior(prior: Prior, key: str) -> None:
    """Hold a prior against its contract. One that needs an encoder is checked with the whole model.

    Args:
        prior: The prior.
        key: Its key on the command line.

    Raises:
        PartError: It does not keep the contract.
    """
    if isinstance(prior, NeedsEncoder):
        return
    name = type(prior).__name__

    def encode(x: Tensor) -> Reparameterised:
        require(False, key, f"{name}(encode) calls encode, so {name} must be a NeedsEncoder, and is none")
        raise AssertionError

    with reported(key):
        p = prior(encode)
        call = f"{name}(encode)"
        require(isinstance(p, Distribution), key, f"{call} must be a Distribution, and is a {type(p).__name__}")
        _check_shapes(p, (), key, call)
        z = p.sample((DRAWS, IMAGES))
        check_floats(z, (DRAWS, IMAGES, *p.event_shape), key, f"sample(({DRAWS}, {IMAGES})) of {call}")
        log_prob = p.log_prob(z)
        check_floats(log_prob, (DRAWS, IMAGES), key, f"log_prob(z) of {call}")
        parameters = list(prior.parameters())
        if parameters:
            complaint = f"log_prob(z) of {call} must have a gradient for the prior's parameters, and has none"
            check_trainable(log_prob, parameters, key, complaint)


def check_posterior(family: PosteriorFamily, key: str) -> None:
    """Hold a family of posteriors against its contract.

    Args:
        family: The family.
        key: Its key on the command line.

    Raises:
        PartError: It does not keep the contract.
    """
    name = type(family).__name__
    with reported(key):
        count = getattr(family, "features", None)
        is_count = isinstance(count, int) and not isinstance(count, bool) and count >= 1
        require(is_count, key, f"{name}.features must be a whole number, 1 or more, and is {count}")
        features = torch.randn(IMAGES, family.features, requires_grad=True)
        _check_distribution(family(features), features, key, f"{name}(features {tuple(features.shape)})")


def _check_distribution(q: object, features: Tensor, key: str, call: str) -> None:
    require(isinstance(q, Reparameterised), key, f"{call} must be a Reparameterised, and is a {type(q).__name__}")
    assert isinstance(q, Reparameterised)
    event = tuple(q.event_shape)
    _check_shapes(q, (IMAGES,), key, call)
    z, log_q = q.rsample_and_log_prob((DRAWS,))
    draws = f"rsample_and_log_prob(({DRAWS},)) of {call}"
    check_floats(z, (DRAWS, IMAGES, *event), key, f"the latents of {draws}")
    check_floats(log_q, (DRAWS, IMAGES), key, f"the log density of {draws}")
    check_floats(q.mean, (IMAGES, *event), key, f"the mean of {call}")
    check_trainable(z, [features], key, f"the latents of {draws} must have a gradient, and have none")


def _check_shapes(distribution: Distribution, batch: tuple[int, ...], key: str, call: str) -> None:
    actual, event = tuple(distribution.batch_shape), tuple(distribution.event_shape)
    require(actual == batch, key, f"{call} must have the batch_shape {batch}, and has {actual}")
    require(len(event) == 1, key, f"{call} must have the event_shape (latent_dim,), and has {event}")
