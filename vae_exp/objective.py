"""How a variational model is trained: estimators of the bound L = E_q[log p(x|z)] − KL(q‖p)."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

from pydantic import PositiveInt
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

if TYPE_CHECKING:
    Normals = Independent[Normal]
else:  # PyTorch's class is generic for type checkers only
    Normals = Independent
"""A normal with independent components: event (latent_dim,)."""

Terms = dict[str, Tensor]
"""Named (B,) tensors in nats per image, summed over pixels and latents, unweighted."""


class Objective(ABC):
    """An estimator of the bound from L reparameterised latents per image.

    Args:
        samples: L.
    """

    def __init__(self, samples: PositiveInt = 1) -> None:
        self.samples = samples

    @abstractmethod
    def __call__(self, x: Tensor, q: Normals, p: Normals, decode: Callable[[Tensor], Distribution]) -> Terms:
        """`nll` and `kl`, each (B,), whose negative sum is the bound.

        Args:
            x: Images (B, C, H, W).
            q: The posterior q(z|x), batch (B,) and event (latent_dim,), reparameterised.
            p: The prior p(z), event (latent_dim,).
            decode: Latents (L, B, latent_dim) to p(x|z) with batch (L, B).
        """


class SGVBA(Objective):
    """Estimator A: L = 1/L Σ_l [log p(x|z_l) + log p(z_l) − log q(z_l|x)] (arXiv 1312.6114, eq. 6)."""

    def __call__(self, x: Tensor, q: Normals, p: Normals, decode: Callable[[Tensor], Distribution]) -> Terms:
        """`nll` and the sampled `kl`, each (B,) in nats per image."""
        z = q.rsample((self.samples,))
        nll = -decode(z).log_prob(x)
        kl = q.log_prob(z) - p.log_prob(z)
        return {"nll": nll.mean(0), "kl": kl.mean(0)}


class SGVBB(Objective):
    """Estimator B: L = 1/L Σ_l log p(x|z_l) − KL(q‖p), the KL in closed form (arXiv 1312.6114, eqs. 7 and 10)."""

    def __call__(self, x: Tensor, q: Normals, p: Normals, decode: Callable[[Tensor], Distribution]) -> Terms:
        """`nll` and the closed `kl`, each (B,) in nats per image."""
        z = q.rsample((self.samples,))
        nll = -decode(z).log_prob(x)
        return {"nll": nll.mean(0), "kl": kl_of_normals(q, p)}


def kl_of_normals(q: Normals, p: Normals) -> Tensor:
    """KL(q‖p) of normals with independent components, (B,) nats; −½ Σ (1 + log σ² − μ² − σ²) for p = N(0, I).

    (arXiv 1312.6114, eq. 10 and appendix B.)
    """
    # from σ, not σ², which underflows sooner
    log_ratio = 2 * (q.base_dist.stddev.log() - p.base_dist.stddev.log())
    return -0.5 * (1 + log_ratio - (q.mean - p.mean).square() / p.variance - log_ratio.exp()).sum(-1)
