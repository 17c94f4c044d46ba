"""Likelihoods p(x|z): decoder features in, distributions out. Imports only from `errors` and from this floor."""

from vae_exp.likelihood.base import (
    Likelihood,
    check_support,
    is_validated,
    set_validation,
    torch_validates,
    true_gradient,
    unvalidated,
)
from vae_exp.likelihood.bernoulli import Bernoulli, GreyBernoulli
from vae_exp.likelihood.floor import PulledUp
from vae_exp.likelihood.gaussian import Gaussian

__all__ = [
    "Bernoulli",
    "Gaussian",
    "GreyBernoulli",
    "Likelihood",
    "PulledUp",
    "check_support",
    "is_validated",
    "set_validation",
    "torch_validates",
    "true_gradient",
    "unvalidated",
]
