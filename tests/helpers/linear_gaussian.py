"""Models whose log p(x) is known, because they are linear and Gaussian."""

import torch
from torch.distributions import Independent, MultivariateNormal, Normal

from vae_exp.architecture import VAE
from vae_exp.likelihood import Likelihood
from vae_exp.network import MLP
from vae_exp.objective import SGVBB

SHAPE = (1, 3, 2)
NOISE = 0.6


class Linear(Likelihood):
    """N(features, σ²), by default with σ = 0.6."""

    parameters_per_pixel = 1

    def __init__(self, noise=NOISE):
        super().__init__()
        self.noise = noise

    def forward(self, features):
        return Independent(Normal(features, self.noise), 3)

    def diagnostics(self, p):
        return {}


def linear_model(classes):
    """p(x|z, y) = N(Wz + b_y, σ²I), an encoder that is near the posterior, images, labels, and their log p(x|y)."""
    torch.manual_seed(0)
    parts = {"network": MLP([], init_std=None), "likelihood": Linear(), "objective": SGVBB(), "latent_dim": 3}
    model = VAE(SHAPE, classes, conditional=classes > 0, **parts).double().eval()
    y = torch.arange(7) % max(classes, 1)
    weight, bias = (p.detach() for p in model.decoder.parameters())
    W, of_classes = weight.split([3, classes], 1)
    of_classes.mul_(5)  # so that the wrong label is seen
    b = bias + (of_classes.T[y] if classes else torch.zeros(7, 6, dtype=torch.float64))
    precision = torch.eye(3, dtype=torch.float64) + W.T @ W / NOISE**2
    V = torch.linalg.solve(precision, W.T) / NOISE**2
    with torch.no_grad():
        (linear,) = model.encoder.linears
        of_labels = torch.cat([-0.9 * V @ of_classes, torch.zeros(3, classes)])
        linear.weight.copy_(torch.cat([torch.cat([0.9 * V, torch.zeros(3, 6)]), of_labels], 1))
        linear.bias.copy_(torch.cat([-0.9 * V @ bias, torch.full((3,), 0.3) - precision.diagonal().log()]))
    p = MultivariateNormal(b, W @ W.T + NOISE**2 * torch.eye(6))
    x = p.sample()
    return model, x.unflatten(1, SHAPE), y if classes else None, p.log_prob(x)


def unit_model(latent_dim, pixels, noise, images):
    """p(x|z) = N(Wz + b, σ²I), W ~ N(0, 1), images and their log p(x); the encoder: p(z|x) but for correlations."""
    torch.manual_seed(0)
    model = VAE((1, pixels, 1), 0, MLP([], init_std=None), Linear(noise), SGVBB(), latent_dim).double().eval()
    W, b = (parameter.detach() for parameter in model.decoder.parameters())
    W.normal_()
    precision = torch.eye(latent_dim, dtype=torch.float64) + W.T @ W / noise**2
    V = torch.linalg.solve(precision, W.T) / noise**2
    with torch.no_grad():
        (linear,) = model.encoder.linears
        linear.weight.copy_(torch.cat([V, torch.zeros_like(V)]))
        linear.bias.copy_(torch.cat([-V @ b, -precision.diagonal().log()]))
    p = MultivariateNormal(b, W @ W.T + noise**2 * torch.eye(pixels))
    x = p.sample((images,))
    return model, x.view(-1, 1, pixels, 1), p.log_prob(x)
