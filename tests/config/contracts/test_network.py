"""A network from outside that does not keep its contract: one message, with the key and what is wrong."""

import math

import pytest
import torch
from good_parts import GoodDecoder, GoodEncoder, GoodNetwork
from torch import nn

from vae_exp.foreign import PartError
from vae_exp.network import Encoder


class WideEncoder(GoodNetwork):
    def encoder(self, shape, context, out_features, activation="identity"):
        return GoodEncoder(shape, context, out_features + 1)


class Unlabelled(GoodNetwork):
    def encoder(self, shape, context, out_features, activation="identity"):
        class Forgets(GoodEncoder):
            def forward(self, x, c):
                return self.linear(torch.cat([x.flatten(1), c], 1))

        return Forgets(shape, context, out_features)


class FlatFilters(GoodNetwork):
    def encoder(self, shape, context, out_features, activation="identity"):
        class Flat(GoodEncoder):
            def filters(self):
                return self.linear.weight

        return Flat(shape, context, out_features)


class PlainEncoder(GoodNetwork):
    def encoder(self, shape, context, out_features, activation="identity"):
        return nn.Linear(math.prod(shape), out_features)


class AbstractEncoder(GoodNetwork):
    def encoder(self, shape, context, out_features, activation="identity"):
        class Unfinished(Encoder):
            def forward(self, x, c):
                return x

        return Unfinished()


class TransposedDecoder(GoodNetwork):
    def decoder(self, in_features, shape, encoder=None):
        return GoodDecoder(in_features, (shape[0], shape[1] // 2, shape[2] * 2))


class RaisingDecoder(GoodNetwork):
    def decoder(self, in_features, shape, encoder=None):
        return GoodDecoder(in_features + 1, shape)


class NotANumber(GoodNetwork):
    def decoder(self, in_features, shape, encoder=None):
        decoder = GoodDecoder(in_features, shape)
        nn.init.constant_(decoder.layers[0].weight, math.nan)
        return decoder


class FewArguments(GoodNetwork):
    def encoder(self, shape, out_features):
        return GoodEncoder(shape, 0, out_features)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (WideEncoder, r"GoodEncoder\(x, c\) for 2 images must be a tensor .* \(2, 4\), and its shape is \(2, 5\)"),
        (FlatFilters, r"Flat\.filters\(\) must be images \(N, 1, h, w\), and is \(4, 784\)"),
        (PlainEncoder, r"PlainEncoder\.encoder\(\) must return an Encoder, not a Linear"),
        (AbstractEncoder, r"TypeError: Can't instantiate abstract class Unfinished .*filters"),
        (TransposedDecoder, r"GoodDecoder\(z\) for 2 latents must be .*\(2, 1, 28, 28\), .* is \(2, 1, 14, 56\)"),
        (RaisingDecoder, r"GoodDecoder\(z\) for 2 latents: RuntimeError: mat1 and mat2 shapes cannot be multiplied"),
        (NotANumber, r"GoodDecoder\(z\) for 2 latents must be finite for random images, and has NaN or infinity"),
        (FewArguments, r"TypeError: .*encoder\(\) takes 3 positional arguments but 5 were given"),
    ],
)
def test_a_network_that_breaks_its_contract(check, part, message):
    with pytest.raises(PartError, match=rf"^network: {message}.*\(docs/own_parts\.md\)$"):
        check("network", part)


def test_an_encoder_must_take_every_image_with_every_label(check):
    with pytest.raises(PartError, match=r"^network: Forgets\(x, c\) for 2 images and 4 rows of labels: RuntimeError"):
        check("network", Unlabelled, "cvae")


def test_a_combination_that_fails_names_the_parts_from_outside(check):
    with pytest.raises(PartError, match=r"^network: NotImplementedError \(docs/own_parts\.md\)$"):
        check("network", GoodNetwork, "cae")
