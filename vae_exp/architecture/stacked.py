"""Deep autoencoders that are trained layer by layer."""

from collections.abc import Mapping
from typing import Annotated, cast

import torch
from annotated_types import MinLen
from pydantic import PositiveInt
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn import functional as F

from vae_exp.architecture.base import Autoencoder
from vae_exp.corruption import Corruption
from vae_exp.dataset.serving import Counts
from vae_exp.errors import ConfigError
from vae_exp.likelihood import Likelihood
from vae_exp.network import Shape
from vae_exp.network.linear import Linear
from vae_exp.objective import Terms


class Layer(nn.Module):
    """h = sigmoid(W x + b), and the way back sigmoid(Wᵀ h + c): the weights are tied.

    Args:
        in_features: Units below.
        out_features: Units of h.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.linear = Linear(in_features, out_features)
        nn.init.xavier_uniform_(self.linear.weight, nn.init.calculate_gain("sigmoid"))
        nn.init.zeros_(self.linear.bias)
        self.bias = nn.Parameter(torch.zeros(in_features))

    def forward(self, x: Tensor) -> Tensor:
        """Compute h (B, out_features) of x (B, in_features)."""
        return torch.sigmoid(self.linear(x))

    def logits(self, h: Tensor) -> Tensor:
        """Compute the logits of the reconstruction of x, (B, in_features)."""
        return F.linear(h, self.linear.weight.T, self.bias)


class Stacked(Autoencoder):
    """Layers of sigmoid units, each trained as an autoencoder of the layer below.

    To train layer k, the cross-entropy is minimised between h, the units of layer k − 1 for the clean image, and the
    reconstruction of h from h or, with a corruption, from h̃: the stacked autoencoder (Bengio et al. 2007, NIPS) and the
    stacked denoising autoencoder (Vincent et al. 2010, JMLR 11, section 3.4).

    Args:
        shape: (C, H, W) of an image.
        likelihood: Maps features to p(x|z), for the reconstruction by the lowest layer.
        sizes: Units of the layers, from the lowest to the highest.
        depth: The layer to train. The layers below it do not change. None is the highest layer.
        corruption: Maps h to h̃, in training only.

    Raises:
        ConfigError: There is no such layer, or the likelihood needs several features per pixel.
    """

    def __init__(
        self,
        shape: Shape,
        likelihood: Likelihood,
        sizes: Annotated[list[PositiveInt], MinLen(1)] = [1000, 1000, 1000],  # noqa: B006 (never changed)
        depth: PositiveInt | None = None,
        corruption: Corruption | None = None,
    ) -> None:
        super().__init__()
        if depth is not None and depth > len(sizes):
            raise ConfigError(f"architecture.depth={depth}: architecture.sizes={list(sizes)} has {len(sizes)} layers")
        if likelihood.parameters_per_pixel != 1:
            raise ConfigError(
                "likelihood: a stacked autoencoder has one feature per pixel. Allowed: likelihood=bernoulli, "
                "continuous_bernoulli, or a fixed width (likelihood.variance=fixed, likelihood.width=fixed)"
            )
        self.shape = shape
        self.classes = 0
        self.likelihood = likelihood
        self.corruption = corruption
        self.depth = len(sizes) if depth is None else depth
        self.latent_dim = sizes[self.depth - 1]
        below = [shape[0] * shape[1] * shape[2], *sizes]
        self.stack = nn.ModuleList(Layer(m, n) for m, n in zip(below, sizes, strict=False))
        self.requires_grad_(False)
        self._layers()[self.depth - 1].requires_grad_(True)

    def _encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Compute the units of layer `depth`, (B, latent_dim)."""
        return self._up(x, self.depth)

    def _decode(self, z: Tensor, y: Tensor | None = None) -> Distribution:
        """Compute p(x|z) with batch shape (…), by the way back through every layer below."""
        h = z.flatten(0, -2)
        for layer in reversed(self._layers()[1 : self.depth]):
            h = torch.sigmoid(layer.logits(h))
        features = self._layers()[0].logits(h).unflatten(-1, self.shape).unflatten(0, z.shape[:-1])
        p: Distribution = self.likelihood(features)
        return p

    def reconstruct(self, x: Tensor, y: Tensor) -> Distribution:
        """Compute p(x|z) at the code, batch (B,)."""
        return self._decode(self._encode(x))

    def fill_labels(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the labels as they are: the decoder does not need them."""
        return y

    def corrupt(self, x: Tensor) -> Tensor:
        """Return x̃, or x if nothing is corrupted or the units of another layer are."""
        return self._corrupted(x) if self.depth == 1 else x

    def weights(self, counts: Counts) -> Mapping[str, float]:
        """Return 1 for the only term."""
        return {"reconstruction": 1.0}

    def evaluate_terms(self, x: Tensor, y: Tensor | None = None) -> Terms:
        """Compute the `nll` of the image itself, (B,)."""
        return {"nll": -self._decode(self._encode(x)).log_prob(x)}

    def terms(self, x: Tensor, y: Tensor | None = None) -> Terms:
        """Compute `reconstruction`, the cross-entropy of the layer below, (B,), in nats."""
        layer = self._layers()[self.depth - 1]
        with torch.no_grad():
            h = self._up(x, self.depth - 1)
        logits = layer.logits(layer(self._corrupted(h)))
        if self.depth == 1:
            p: Distribution = self.likelihood(logits.unflatten(-1, self.shape))
            return {"reconstruction": -p.log_prob(x)}
        cross_entropy = F.binary_cross_entropy_with_logits(logits, h, reduction="none")
        return {"reconstruction": cross_entropy.sum(-1)}

    def filters(self) -> Tensor:
        """Return the weights of the first layer as images (N, C, H, W)."""
        images: Tensor = self._layers()[0].linear.weight.unflatten(1, self.shape)
        return images

    def _layers(self) -> list[Layer]:
        return cast(list[Layer], list(self.stack))

    def _corrupted(self, h: Tensor) -> Tensor:
        return h if self.corruption is None else self.corruption(h)

    def _up(self, x: Tensor, depth: int) -> Tensor:
        h = x.flatten(1)
        for layer in self._layers()[:depth]:
            h = layer(h)
        return h
