"""Autoencoders and classifiers, built from networks, likelihoods and objectives. Imports from the floors below."""

from vae_exp.architecture.base import Architecture, Generative, HasJacobian
from vae_exp.architecture.deterministic import AE
from vae_exp.architecture.semi_supervised import M1M2, M2
from vae_exp.architecture.stacked import Stacked
from vae_exp.architecture.variational import VAE

__all__ = ["AE", "M1M2", "M2", "VAE", "Architecture", "Generative", "HasJacobian", "Stacked"]
