"""What vae_exp cannot check: the density is one, and the images are what they are said to be."""

import torch
from own_project.likelihood import Laplace
from own_project.network import LayerNormMLP
from own_project.source import Shapes


def test_the_density_of_a_pixel_integrates_to_one():
    p = Laplace(scale=0.2)(torch.zeros(1, 1, 1, 1))
    x = torch.linspace(-9, 10, 100_001)
    density = p.log_prob(x[:, None, None, None]).exp()
    assert abs(torch.trapezoid(density, x).item() - 1) < 1e-4


def test_the_network_decodes_to_the_shape_of_the_image():
    network = LayerNormMLP(width=8)
    encoder, decoder = network.encoder((1, 5, 7), 3, 4), network.decoder(4, (1, 5, 7))
    features = encoder(torch.rand(2, 1, 5, 7), torch.eye(6, 3))
    assert features.shape == (6, 4)
    assert decoder(features).shape == (6, 1, 5, 7)


def test_every_image_has_a_shape_and_the_seed_decides_which():
    splits, again = Shapes(images=30, size=12).load(), Shapes(images=30, size=12).load()
    assert (len(splits.train), len(splits.test)) == (24, 6)
    assert (splits.train.pixels.flatten(1).amax(1) > 100).all()
    assert torch.equal(splits.test.pixels, again.test.pixels)
    assert not torch.equal(splits.test.pixels, Shapes(images=30, size=12, seed=1).load().test.pixels)
