"""Sylvester flows as posteriors."""

from abc import ABC, abstractmethod
from typing import Literal

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from vae_exp.posterior.base import PosteriorFamily
from vae_exp.posterior.pushforward import PACE, Pushforward, Step
from vae_exp.posterior.triangular import Triangular
from vae_exp.prior.base import Transforms
from vae_exp.prior.normal import DiagonalNormal

Kind = Literal["orthogonal", "householder"]


class SylvesterStep(Step):
    """f(z) = z + Q R tanh(R̃ Qᵀ z + b), with orthonormal columns of Q and upper triangular R, R̃.

    (arXiv 1803.05649, section 3.) If r_ii r̃_ii > −1 it is invertible.

    Args:
        q: Q, (B, D, M).
        r: R, (B, M, M).
        r_tilde: R̃, (B, M, M).
        b: (B, M).
    """

    def __init__(self, q: Tensor, r: Tensor, r_tilde: Tensor, b: Tensor) -> None:
        self.outer, self.inner, self.b = q @ r, r_tilde @ q.mT, b
        self.diagonal = r.diagonal(dim1=-2, dim2=-1) * r_tilde.diagonal(dim1=-2, dim2=-1)

    def __call__(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Compute f(z), and log |det| = Σ_i log(1 + (1 − tanh²)_i r_ii r̃_ii), by Sylvester's identity."""
        h = torch.tanh((self.inner @ z[..., None]).squeeze(-1) + self.b)
        moved = z + (self.outer @ h[..., None]).squeeze(-1)
        return moved, torch.log1p((1 - h.square()) * self.diagonal).sum(-1)


class Rotation(nn.Module, ABC):
    """Maps features to a matrix with orthonormal columns, for each step of a flow.

    To the features, unit vectors are added. This is no restriction, and the vectors that features stand for begin away
    from 0. They begin along the latents in turn, so that the steps together reach as many latents as they can; every
    second step takes its latents in reverse.

    Args:
        latent_dim: D.
        number: Number of vectors that features stand for, N.
        transforms: Number of steps, T.

    Attributes:
        features: Number of features for each step.
        vectors: Number of columns, M.
        axes: The unit vectors, (T, N, D). A checkpoint keeps them, because they are a part of what it has learned.
    """

    features: int
    vectors: int
    axes: Tensor

    def __init__(self, latent_dim: int, number: int, transforms: int) -> None:
        super().__init__()
        self.features = number * latent_dim
        latents = torch.arange(transforms * number).unflatten(0, (transforms, number)) % latent_dim
        latents[1::2] = latents[1::2].flip(-1)
        self.register_buffer("axes", torch.eye(latent_dim)[latents])

    @abstractmethod
    def forward(self, features: Tensor) -> Tensor:
        """Map features (…, T, features) to Q, (…, T, D, M)."""


class Orthogonal(Rotation):
    """Q of the QR decomposition of a D × M matrix, with R's diagonal above 0.

    The paper's iterations (its eq. 14) end at a matrix that is nearly orthogonal; this one is so up to rounding. With
    R's diagonal above 0 there is only one Q. Otherwise the signs of its columns would jump between similar images.

    Args:
        latent_dim: D.
        vectors: The wanted number of columns; it is D if that is smaller.
        transforms: Number of steps, T.
    """

    def __init__(self, latent_dim: int, vectors: int, transforms: int) -> None:
        columns = min(vectors, latent_dim)
        super().__init__(latent_dim, columns, transforms)
        self.vectors = columns

    def forward(self, features: Tensor) -> Tensor:
        """Map features (…, T, M·D) to Q, (…, T, D, M)."""
        q, r = torch.linalg.qr((self.axes + features.unflatten(-1, self.axes.shape[1:])).mT)
        return torch.where(r.diagonal(dim1=-2, dim2=-1)[..., None, :] < 0, -q, q)


class Householder(Rotation):
    """Q = Π_h (I − 2 v_h v_hᵀ/‖v_h‖²), a D × D matrix (its eq. 15).

    Args:
        latent_dim: D.
        reflections: Number of reflections.
        transforms: Number of steps, T.
    """

    unit: Tensor

    def __init__(self, latent_dim: int, reflections: int, transforms: int) -> None:
        super().__init__(latent_dim, reflections, transforms)
        self.vectors = latent_dim
        self.register_buffer("unit", torch.eye(latent_dim), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Map features (…, T, H·D) to Q, (…, T, D, D)."""
        q = self.unit.expand(*features.shape[:-1], -1, -1)
        for v in (self.axes + features.unflatten(-1, self.axes.shape[1:])).unbind(-2):
            q = q - 2 * (q @ v[..., None]) * v[..., None, :] / v.square().sum(-1)[..., None, None]
        return q


ROTATIONS: dict[str, type[Orthogonal] | type[Householder]] = {"orthogonal": Orthogonal, "householder": Householder}


class Sylvester(PosteriorFamily):
    """A normal with independent latents that goes through Sylvester steps (van den Berg et al. 2018, arXiv 1803.05649).

    The features are μ and log σ² of the normal, and Q, R, R̃ and b of every step. The diagonals of R and R̃ go through
    tanh, so that every step is invertible. Those of R̃ begin at tanh 1: with R = R̃ = 0 neither would have a gradient.
    The features of the steps are multiplied by 0.1 (`PACE`). The density is known at draws only, so KL(q‖p) is
    estimated from draws.

    Args:
        latent_dim: Size of z.
        kind: How Q is made of features.
        transforms: Number of steps.
        vectors: `orthogonal`: the number of columns of Q, at most latent_dim; `householder`: that of reflections.
    """

    def __init__(
        self,
        latent_dim: int,
        kind: Kind = "orthogonal",
        transforms: Transforms = 8,
        vectors: PositiveInt = 8,
    ) -> None:
        super().__init__()
        self.transforms = transforms
        self.rotation = ROTATIONS[kind](latent_dim, vectors, transforms)
        m = self.rotation.vectors
        self.above = Triangular(m, upper=True)
        self._of_base = 2 * latent_dim
        self._sizes = [self.rotation.features, m, m, m, self.above.features, self.above.features]
        self.features = self._of_base + transforms * sum(self._sizes)

    def forward(self, features: Tensor) -> Pushforward:
        """Map features (B, features) to q(z|x)."""
        base = DiagonalNormal(*features[..., : self._of_base].chunk(2, -1))
        of_steps = PACE * features[..., self._of_base :].unflatten(-1, (self.transforms, -1))
        of_q, b, diagonal, diagonal_tilde, above, above_tilde = of_steps.split(self._sizes, -1)
        r = torch.diag_embed(diagonal.tanh()) + self.above(above)
        r_tilde = torch.diag_embed((1 + diagonal_tilde).tanh()) + self.above(above_tilde)
        parameters = (all_steps.unbind(1) for all_steps in (self.rotation(of_q), r, r_tilde, b))
        return Pushforward(base, [SylvesterStep(*step) for step in zip(*parameters, strict=True)])
