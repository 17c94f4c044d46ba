"""Autoencoders and classifiers, built from networks, likelihoods and objectives. Imports from the floors below."""

from vae_exp.architecture.aae import AAE
from vae_exp.architecture.aae_semi import SemiSupervisedAAE
from vae_exp.architecture.autoencoder import AE
from vae_exp.architecture.base import Autoencoder, Classifies, EStep, Generative, HasJacobian, HasJoint, HasPrior, Model
from vae_exp.architecture.classifier import Classifier
from vae_exp.architecture.m1_m2 import M1M2
from vae_exp.architecture.m2 import M2
from vae_exp.architecture.stacked import Stacked
from vae_exp.architecture.vae import VAE

__all__ = [
    "AAE",
    "AE",
    "M1M2",
    "M2",
    "VAE",
    "Autoencoder",
    "Classifier",
    "Classifies",
    "EStep",
    "Generative",
    "HasJacobian",
    "HasJoint",
    "HasPrior",
    "Model",
    "SemiSupervisedAAE",
    "Stacked",
]
