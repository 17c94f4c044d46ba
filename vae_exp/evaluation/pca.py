"""Principal components, which a linear autoencoder should find (Bourlard and Kamp 1988; Baldi and Hornik 1989)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from vae_exp.architecture import Autoencoder


@dataclass(frozen=True)
class PrincipalComponents:
    """The affine subspace that reconstructs images with the smallest squared error.

    Attributes:
        mean: The mean of the fitted images, (D,).
        components: Orthonormal directions of largest variance, sorted from the largest variance, (D, K).
        variances: The variances of all directions, the largest first, (D,).
    """

    mean: Tensor
    components: Tensor
    variances: Tensor

    def squared_error(self, images: Tensor) -> Tensor:
        """Compute ‖x − x̂‖² of each image x (N, …) and its reconstruction x̂ = μ + UUᵀ(x − μ), (N,).

        The mean over the fitted images is the sum of the variances of all other directions.
        """
        centred = images.flatten(1).to(self.mean) - self.mean
        return centred.square().sum(1) - (centred @ self.components).square().sum(1)


def principal_components(images: Tensor, k: int) -> PrincipalComponents:
    """Compute the first k principal components, in float64.

    Args:
        images: N images with D values each, (N, …).
        k: Number of components, at most D.
    """
    x = images.flatten(1).double()
    mean = x.mean(0)
    centred = x - mean
    variances, eigenvectors = torch.linalg.eigh(centred.T @ centred / len(x))
    return PrincipalComponents(mean, eigenvectors.flip(1)[:, :k], variances.flip(0))


def principal_angles(a: Tensor, b: Tensor) -> Tensor:
    """Compute the angles between the column spaces of two matrices, in radians, the smallest first.

    The cosines are the singular values of QₐᵀQ_b with orthonormal Q. A cosine near 1 does not determine its angle
    precisely, so small angles are computed from the sines, the singular values of Q_b − QₐQₐᵀQ_b (Björck and Golub
    1973).

    Args:
        a: Independent columns, (D, K).
        b: Independent columns, (D, L), L ≤ K.

    Returns:
        L angles in [0, π/2], float64.
    """
    Qa, Qb = (torch.linalg.qr(matrix.double()).Q for matrix in (a, b))
    overlap = Qa.T @ Qb
    cosines = torch.linalg.svdvals(overlap).clamp(max=1)
    sines = torch.linalg.svdvals(Qb - Qa @ overlap).flip(0).clamp(max=1)
    return torch.where(cosines.square() > 0.5, sines.asin(), cosines.acos())


def decoder_directions(model: Autoencoder) -> Tensor | None:
    """Compute how each latent changes a reconstruction, as columns (D, latent_dim); None for a non-affine decoder."""
    device = next(model.parameters()).device
    unit = torch.eye(model.latent_dim, device=device)
    origin, moved, doubled = (model.decode(z).mean.flatten(1) for z in (0 * unit[:1], unit, 2 * unit))
    columns = (moved - origin).T
    return columns if torch.allclose((doubled - origin).T, 2 * columns, atol=1e-4) else None
