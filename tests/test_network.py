import pytest
import torch
from torch.func import jacrev

from vae_exp.errors import ConfigError
from vae_exp.network import MLP, Conv
from vae_exp.network.base import squared_jacobian_norm_by_autograd

SHAPES = [(1, 28, 28), (1, 28, 20), (3, 9, 7)]


def jacobian_norm(encoder, x, c):
    """‖J‖²_F image by image, from torch's own Jacobian."""
    return torch.stack(
        [
            jacrev(lambda image, context: encoder(image[None], context[None])[0])(image, context).square().sum()
            for image, context in zip(x, c, strict=True)
        ]
    )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("network", [MLP([7, 5]), MLP([]), Conv(), Conv(decoder="upsampling"), Conv([4, 6], [2, 3])])
def test_encoder_and_decoder_fit_each_other(network, shape):
    x, c = torch.rand(2, *shape), torch.rand(2, 3)
    assert network.encoder(shape, 3, 4)(x, c).shape == (2, 4)
    assert network.decoder(4, shape)(torch.rand(2, 4)).shape == (2, *shape)


def test_mlp_has_the_sizes_asked_for_and_the_decoder_mirrors_them():
    network = MLP([30, 10])
    assert [tuple(p.shape) for p in network.encoder((1, 4, 4), 2, 5).parameters() if p.ndim > 1] == [
        (30, 18),
        (10, 30),
        (5, 10),
    ]
    assert [tuple(p.shape) for p in network.decoder(5, (1, 4, 4)).parameters() if p.ndim > 1] == [
        (10, 5),
        (30, 10),
        (16, 30),
    ]


def test_conv_is_the_network_of_the_book():
    """Chollet's encoder and decoder by their parameter counts, layer by layer."""
    network = Conv(decoder="upsampling")
    encoder = [p.numel() for p in network.encoder((1, 28, 28), 0, 4).parameters() if p.ndim > 1]
    decoder = [p.numel() for p in network.decoder(2, (1, 28, 28)).parameters() if p.ndim > 1]
    assert encoder == [9 * 32, 9 * 32 * 64, 9 * 64 * 64, 9 * 64 * 64, 14 * 14 * 64 * 32, 32 * 4]
    assert decoder == [2 * 14 * 14 * 64, 9 * 64 * 32, 9 * 32]


def test_mirrored_decoder_undoes_every_convolution():
    decoder = [p.numel() for p in Conv().decoder(2, (1, 28, 28)).parameters() if p.ndim > 1]
    assert decoder == [2 * 32, 32 * 14 * 14 * 64, 9 * 64 * 64, 9 * 64 * 64, 9 * 64 * 32, 9 * 32]


def test_paper_initialisation():
    encoder = MLP([500], init_std=0.01).encoder((1, 28, 28), 0, 40)
    weight, bias = encoder.linears[0].weight, encoder.linears[0].bias
    assert weight.std().item() == pytest.approx(0.01, rel=0.01)
    assert weight.mean().item() == pytest.approx(0, abs=1e-4)
    assert not bias.any()
    assert MLP([500], init_std=None).encoder((1, 28, 28), 0, 40).linears[0].bias.any()


@pytest.mark.parametrize("context", [0, 3])
@pytest.mark.parametrize(
    ("network", "activation"),
    [
        (MLP([], init_std=None), "sigmoid"),
        (MLP([], init_std=None), "tanh"),
        (MLP([], init_std=None), "identity"),
        (MLP([6], "sigmoid", None), "identity"),
        (MLP([6], "tanh", None), "identity"),
        (MLP([6], "tanh", None), "sigmoid"),
        (MLP([6, 5], "relu", None), "identity"),
        (Conv([2, 3], [1, 2], 8, activation="tanh"), "identity"),
    ],
)
def test_squared_jacobian_norm_is_that_of_autograd(network, activation, context):
    torch.manual_seed(0)
    encoder = network.encoder((1, 6, 4), context, 5, activation).double()
    x, c = torch.rand(3, 1, 6, 4, dtype=torch.float64), torch.rand(3, context, dtype=torch.float64)
    norm = encoder.squared_jacobian_norm(x, c)
    torch.testing.assert_close(norm, jacobian_norm(encoder, x, c))
    gradients = torch.autograd.grad(norm.sum(), list(encoder.parameters()), allow_unused=True)
    expected = torch.autograd.grad(jacobian_norm(encoder, x, c).sum(), list(encoder.parameters()), allow_unused=True)
    for ours, theirs in zip(gradients, expected, strict=True):
        zero = torch.zeros(())
        torch.testing.assert_close(*(zero if g is None else g for g in (ours, theirs)), check_dtype=False)


def test_closed_form_does_not_call_autograd(monkeypatch):
    monkeypatch.setattr("vae_exp.network.mlp.squared_jacobian_norm_by_autograd", None)
    x, c = torch.rand(2, 1, 6, 4), torch.zeros(2, 0)
    for network, activation in [(MLP([]), "sigmoid"), (MLP([6], "tanh"), "identity")]:
        network.encoder((1, 6, 4), 0, 5, activation).squared_jacobian_norm(x, c)


def test_jacobian_by_autograd_in_pieces_and_without_gradients():
    f = MLP([6], "softplus", None).encoder((1, 6, 4), 0, 5)
    x, c = torch.rand(3, 1, 6, 4), torch.zeros(3, 0)
    whole = squared_jacobian_norm_by_autograd(lambda x: f(x, c), x)
    with torch.no_grad():
        pieces = squared_jacobian_norm_by_autograd(lambda x: f(x, c), x, rows=2)
    torch.testing.assert_close(whole, pieces)
    assert not pieces.requires_grad


def test_strides_must_match_channels():
    with pytest.raises(ConfigError, match=r"network\.strides"):
        Conv([1, 2], [1])
