"""KL(q‖p) of a posterior and a prior, whichever they are."""

from torch import Tensor
from torch.distributions import Distribution

from vae_exp.prior.base import Reparameterised


def draws_and_kl(q: Reparameterised, p: Distribution, samples: int) -> tuple[Tensor, Tensor]:
    """Draw latents z ~ q, and compute KL(q‖p) = E_q[log q(z) − log p(z)] of each image.

    It is in closed form where that is known: for a normal q, with independent latents or a full covariance, and
    p = N(0, I). Otherwise it is the mean of log q(z) − log p(z) over the draws. Its expectation and the expectation of
    its gradient are the same, but it is noisy, and can be negative.

    Args:
        q: q(z|x), batch (B,).
        p: The prior p(z).
        samples: L, the number of latents per image.

    Returns:
        The latents, (L, B, latent_dim), and the KL, (B,) in nats.
    """
    closed = q.closed_kl(p)
    if closed is not None:
        return q.rsample((samples,)), closed
    z, log_q = q.rsample_and_log_prob((samples,))
    return z, (log_q - p.log_prob(z)).mean(0)
