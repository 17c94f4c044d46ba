import pytest
import torch
from torch import nn
from torch.func import jacrev

from vae_exp.architecture import VAE
from vae_exp.errors import ConfigError
from vae_exp.likelihood import Gaussian, unvalidated
from vae_exp.network import Conv, ResNet
from vae_exp.network.resnet import ResidualBlock, StyledBlock, StyledNorm
from vae_exp.objective import SGVBB

SMALL = {
    "conv": Conv([4, 4], [2, 2], 8),
    "conv, upsampling": Conv([4, 4], [2, 3], 8, decoder="upsampling"),
    "resnet": ResNet(4, 8, groups=2, hidden_size=8),
}
SHAPES = [(3, 128, 128), (1, 20, 37), (1, 8, 8)]


def of_images(module):
    return isinstance(module, nn.Conv2d | nn.ConvTranspose2d)


def sizes(network, *inputs):
    """The different heights and widths of the images on their way through the convolutions."""
    found = []
    for module in filter(of_images, network.modules()):
        module.register_forward_hook(lambda _, images, output: found.extend([images[0].shape[2:], output.shape[2:]]))
    network(*inputs)
    return [tuple(size) for size in dict.fromkeys(found)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("network", SMALL.values(), ids=SMALL.keys())
def test_a_vae_of_any_size_is_updated_and_sampled(network, shape):
    torch.manual_seed(0)
    model = VAE(shape, 2, network, Gaussian(), SGVBB(), latent_dim=2, conditional=True)
    x, y = torch.rand(2, *shape), torch.tensor([0, 1])
    optimizer = torch.optim.SGD(model.parameters(), 1e-6)

    def loss():
        torch.manual_seed(1)
        return sum(term.mean() for term in model.terms(x, y).values())

    before = loss()
    before.backward()
    parameters = [*model.encoder.named_parameters(), *model.decoder.named_parameters()]
    assert [name for name, p in parameters if p.grad is None or not p.grad.any() or not p.grad.isfinite().all()] == []
    optimizer.step()
    assert loss() < before
    assert model.sample(2, y).shape == (2, *shape)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("conv", [(20, 37), (10, 19), (5, 10)]), ("resnet", [(20, 37), (10, 19), (5, 10), (3, 5)])],
)
def test_the_decoder_goes_back_through_the_sizes_of_the_encoder(name, expected):
    network, shape = SMALL[name], (2, 20, 37)
    assert sizes(network.encoder(shape, 0, 3), torch.rand(1, *shape), torch.zeros(1, 0)) == expected
    assert sizes(network.decoder(3, shape), torch.rand(1, 3)) == expected[::-1]


@pytest.mark.parametrize(("side", "stages"), [(5, 1), (8, 1), (9, 2), (28, 3), (64, 4), (256, 6)])
def test_the_depth_follows_from_the_size_of_the_image(side, stages):
    with torch.device("meta"):
        network, shape = ResNet(blocks_per_stage=2), (3, side, 256)
        parts = network.encoder(shape, 0, 3), network.decoder(3, shape)
    for part in parts:
        assert sum(isinstance(module, ResidualBlock | StyledBlock) for module in part.modules()) == 2 * stages


def test_the_channels_double_up_to_the_largest_number():
    convolutions = ResNet(16, 48, groups=8).encoder((3, 64, 64), 0, 3).convolutions
    strided = [m for m in convolutions if of_images(m) and m.stride == (2, 2)]
    assert [(m.in_channels, m.out_channels) for m in strided] == [(3, 16), (16, 32), (32, 48), (48, 48)]


def test_the_signal_keeps_its_size_from_layer_to_layer():
    torch.manual_seed(0)
    decoder = ResNet(blocks_per_stage=2).decoder(8, (3, 128, 128))
    z = torch.randn(4, 8)
    stds = []
    for layer in (decoder.start, *decoder.layers):
        layer.register_forward_hook(lambda _, inputs, output: stds.append(output.std().item()))
    decoder(z)
    assert len(stds) == 1 + 5 * 3 + 2
    assert all(0.5 < std < 30 for std in stds), stds


def test_the_latents_change_an_image_at_every_stage():
    torch.manual_seed(0)
    decoder = ResNet(4, 8, hidden_size=8).decoder(3, (3, 16, 16))
    one, other = decoder.style(torch.randn(2, 1, 3))
    h = decoder.start(torch.randn(1, 3))
    for layer in decoder.layers:
        depends = isinstance(layer, StyledBlock | StyledNorm)
        assert torch.equal(layer(h, one), layer(h, other)) == (not depends)
        h = layer(h, one)


@pytest.mark.parametrize("network", [SMALL["conv"], SMALL["resnet"]])
def test_a_cpu_has_the_channels_of_a_pixel_side_by_side(network):
    seen = []
    parts = network.encoder((3, 16, 16), 0, 2), network.decoder(2, (3, 16, 16))
    for module in filter(of_images, (module for part in parts for module in part.modules())):
        module.register_forward_hook(
            lambda _, inputs, y: seen.append(y.is_contiguous(memory_format=torch.channels_last))
        )
    parts[0](torch.rand(2, 3, 16, 16), torch.zeros(2, 0))
    parts[1](torch.rand(2, 2))
    assert seen
    assert all(seen)


def test_the_features_of_an_image_do_not_depend_on_the_batch():
    encoder = SMALL["resnet"].encoder((1, 9, 6), 0, 3).double()
    x, c = torch.rand(3, 1, 9, 6, dtype=torch.float64), torch.zeros(3, 0)
    alone = torch.cat([encoder(x[i : i + 1], c[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(encoder(x, c), alone)


def test_several_contexts_of_an_image_are_as_several_images():
    encoder = SMALL["resnet"].encoder((1, 9, 6), 3, 4).double()
    x, c = torch.rand(2, 1, 9, 6, dtype=torch.float64), torch.rand(10, 3, dtype=torch.float64)
    torch.testing.assert_close(encoder(x, c), encoder(x.repeat(5, 1, 1, 1), c))


def test_the_squared_jacobian_norm_is_that_of_torch():
    encoder = SMALL["resnet"].encoder((1, 6, 5), 2, 3).double()
    x, c = torch.rand(2, 1, 6, 5, dtype=torch.float64), torch.rand(2, 2, dtype=torch.float64)
    expected = [jacrev(lambda image, i=i: encoder(image, c[i : i + 1]))(x[i : i + 1]).square().sum() for i in range(2)]
    torch.testing.assert_close(encoder.squared_jacobian_norm(x, c), torch.stack(expected))


@pytest.mark.parametrize("network", [Conv(), ResNet()])
def test_the_loss_can_be_evaluated_without_values(network):
    """As `check_memory` does before anything is allocated."""
    with torch.device("meta"), unvalidated():
        model = VAE((3, 64, 64), 0, network, Gaussian(), SGVBB(), latent_dim=4)
        terms = model.terms(torch.empty(7, 3, 64, 64), torch.zeros(7, dtype=torch.int64))
    assert {name: (tuple(term.shape), term.device.type) for name, term in terms.items()} == {
        "nll": ((7,), "meta"),
        "kl": ((7,), "meta"),
    }


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ResNet(groups=5), r"network\.groups=5: .*network\.channels=16.*Allowed: 1, 2, 4, 8, 16"),
        (lambda: ResNet(8, 12, groups=8), r"network\.groups=8: .*network\.max_channels=12.*Allowed: 1, 2, 4"),
        (lambda: ResNet(256), r"network\.max_channels=128: .*network\.channels=256"),
        (lambda: ResNet().encoder((3, 4, 9), 0, 2), r"network=resnet: .*at least 5×5 pixels.*4×9.*network=mlp"),
        (lambda: ResNet().decoder(2, (1, 1, 30)), r"network=resnet: .*at least 5×5 pixels.*1×30"),
        (lambda: Conv().encoder((1, 1, 30), 0, 2), r"network=conv: .*at least 3×3 pixels.*1×30.*network=mlp"),
        (lambda: Conv().decoder(2, (1, 9, 2)), r"network=conv: .*at least 3×3 pixels.*9×2"),
    ],
)
def test_a_network_that_does_not_fit_says_what_it_needs(build, message):
    with pytest.raises(ConfigError, match=message):
        build()
