"""The smallest variational autoencoder, of images with four pixels and one latent, and batches for it."""

import torch

from vae_exp.architecture import VAE
from vae_exp.dataset.base import Images
from vae_exp.dataset.batches import EvaluationBatches
from vae_exp.network import MLP
from vae_exp.objective import SGVBB

SHAPE = (1, 2, 2)


def vae(likelihood, objective=None):
    return VAE(SHAPE, 0, MLP([]), likelihood, objective or SGVBB(), latent_dim=1)


def batches(pixels, size=100, step=1 / 255):
    images = Images(pixels, torch.full((len(pixels),), -1))
    return EvaluationBatches(images, lambda pixels: pixels.double() / 255, size, step)
