"""The number of latents that a model uses."""

from torch import Tensor

THRESHOLD = 0.01


def active_units(means: Tensor) -> int:
    """Count the latents with a posterior mean that varies over the images: Var_x(E_q[z]) > 0.01 (arXiv 1509.00519).

    Args:
        means: The means of q(z|x), one row per image, (N, latent_dim).
    """
    return int((means.var(0, correction=0) > THRESHOLD).sum())
