"""Deep autoencoders that are trained layer by layer, and the classifier that grows out of them."""

from collections.abc import Mapping
from typing import Annotated, cast

import torch
from annotated_types import MinLen
from pydantic import PositiveInt
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn import functional as F

from vae_exp.architecture.base import Architecture
from vae_exp.architecture.classification import class_terms, softmax_layer
from vae_exp.corruption import Corruption
from vae_exp.dataset.serving import Counts
from vae_exp.errors import ConfigError
from vae_exp.likelihood import Likelihood
from vae_exp.network import Shape
from vae_exp.network.linear import Linear
from vae_exp.objective import Terms


class Layer(nn.Module):
    """h = sigmoid(W x + b), and back sigmoid(Wᵀ h + c): weights are tied.

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
        """h (B, out_features) of x (B, in_features)."""
        return torch.sigmoid(self.linear(x))

    def logits(self, h: Tensor) -> Tensor:
        """What the sigmoid makes x of again, (B, in_features)."""
        return F.linear(h, self.linear.weight.T, self.bias)


class Stacked(Architecture):
    """Layers of sigmoid units, each pretrained as an autoencoder of the one below it, then trained as one classifier.

    Pretraining layer k minimises the cross-entropy between what the layers below say of the clean image, h, and its
    reconstruction from h or, with a corruption, from h̃: the stacked (Bengio et al. 2007, NIPS) and the stacked
    denoising autoencoder (Vincent et al. 2010, JMLR 11, section 3.4). `supervised` puts a softmax layer on top of
    them all and trains everything on −log p(y|x) (section 5.2 there).

    Args:
        shape: (C, H, W) of an image.
        classes: How many labels the data has.
        likelihood: Features to p(x|z), of the lowest layer's reconstruction.
        sizes: Units of the layers, the lowest one first.
        depth: Which layer is pretrained; those below it stay as they are. None is the highest one.
        corruption: h → h̃, in pretraining only.
        supervised: Train the classifier.
    """

    def __init__(
        self,
        shape: Shape,
        classes: int,
        likelihood: Likelihood,
        sizes: Annotated[list[PositiveInt], MinLen(1)] = [1000, 1000, 1000],  # noqa: B006 (never changed)
        depth: PositiveInt | None = None,
        corruption: Corruption | None = None,
        supervised: bool = False,
    ) -> None:
        super().__init__()
        if depth is not None and depth > len(sizes):
            raise ConfigError(f"architecture.depth={depth}: architecture.sizes={list(sizes)} has {len(sizes)} layers")
        if likelihood.parameters_per_pixel != 1:
            raise ConfigError("likelihood: a stacked autoencoder has one feature per pixel (likelihood.variance=fixed)")
        self.shape = shape
        self.classes = 0  # none that a code or an image is conditioned on
        self.likelihood = likelihood
        self.corruption = corruption
        self.supervised = supervised
        self.reconstructs = not supervised
        self.classifies = self.needs_labels = supervised
        self.depth = len(sizes) if depth is None or supervised else depth
        self.latent_dim = sizes[self.depth - 1]
        below = [shape[0] * shape[1] * shape[2], *sizes]
        self.stack = nn.ModuleList(Layer(m, n) for m, n in zip(below, sizes, strict=False))
        self.softmax = softmax_layer(sizes[-1], classes) if supervised else None
        trained = [*self._layers(), self.softmax] if supervised else [self._layers()[self.depth - 1]]
        self.requires_grad_(False)
        for module in filter(None, trained):
            module.requires_grad_(True)
        if supervised:
            for layer in self._layers():
                layer.bias.requires_grad_(False)  # of the way back

    @property
    def prior(self) -> Distribution | None:
        """None: the code is whatever reconstructs best."""
        return None

    def _encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The units of the layer in question, (B, latent_dim)."""
        return self._up(x, self.depth)

    def _decode(self, z: Tensor, y: Tensor | None = None) -> Distribution:
        """p(x|z) with batch shape (…), by the way back through every layer below."""
        h = z.flatten(0, -2)
        for layer in reversed(self._layers()[1 : self.depth]):
            h = torch.sigmoid(layer.logits(h))
        features = self._layers()[0].logits(h).unflatten(-1, self.shape).unflatten(0, z.shape[:-1])
        p: Distribution = self.likelihood(features)
        return p

    def _classify(self, x: Tensor) -> Tensor:
        """log p(y|x) of a supervised one, (B, classes)."""
        return super()._classify(x) if self.softmax is None else F.log_softmax(self.softmax(self._encode(x)), -1)

    def corrupt(self, x: Tensor) -> Tensor:
        """x̃, or x where there is no corruption, or it is another layer's units that are corrupted."""
        return self._corrupted(x) if self.depth == 1 and not self.supervised else x

    def weights(self, counts: Counts) -> Mapping[str, float]:
        """1 for the only term."""
        return {"cross_entropy" if self.supervised else "reconstruction": 1.0}

    def evaluate_terms(self, x: Tensor, y: Tensor | None = None) -> Terms:
        """`nll` of the image itself, or `cross_entropy` −log p(y|x) if it is supervised; each (B,)."""
        if self.supervised:
            return class_terms(self._classify(x), y)
        return {"nll": -self._decode(self._encode(x)).log_prob(x)}

    def terms(self, x: Tensor, y: Tensor | None = None) -> Terms:
        """`reconstruction` of the layer below; `cross_entropy` −log p(y|x) if it is supervised; each (B,), in nats."""
        if self.supervised:
            return class_terms(self._classify(x), y)
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
        """The first layer's weights as images (N, C, H, W)."""
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
