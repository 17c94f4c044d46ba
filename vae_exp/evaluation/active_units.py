"""How many latents a model uses."""

import torch

from vae_exp.architecture import VAE
from vae_exp.dataset.batches import EvaluationBatches

THRESHOLD = 0.01


@torch.no_grad()
def active_units(model: VAE, batches: EvaluationBatches) -> int:
    """Latents whose posterior mean varies over the images: Var_x(E_q[z]) > 0.01 (arXiv 1509.00519, section 5.1)."""
    means = torch.cat([model.encode(x, y) for x, y in batches])
    return int((means.var(0) > THRESHOLD).sum())
