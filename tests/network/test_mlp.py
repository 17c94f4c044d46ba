import pytest
import torch
from torch.func import jacrev

from vae_exp.errors import ConfigError
from vae_exp.network import MLP, Conv, ResNet
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
@pytest.mark.parametrize(
    "network", [MLP([7, 5]), MLP([]), Conv(), Conv(decoder="upsampling"), Conv([4, 6], [2, 3]), ResNet(8)]
)
def test_encoder_and_decoder_fit_each_other(network, shape):
    x, c = torch.rand(2, *shape), torch.rand(2, 3)
    assert network.encoder(shape, 3, 4)(x, c).shape == (2, 4)
    assert network.decoder(4, shape)(torch.rand(2, 4)).shape == (2, *shape)


@pytest.mark.parametrize("network", [MLP([7, 5]), MLP([]), Conv([4, 6], [2, 3])])
def test_several_contexts_of_an_image_are_as_several_images(network):
    encoder = network.encoder((1, 6, 4), 3, 4).double()
    x, c = torch.rand(2, 1, 6, 4, dtype=torch.float64), torch.rand(10, 3, dtype=torch.float64)
    together, apart = encoder(x, c), encoder(x.repeat(5, 1, 1, 1), c)
    torch.testing.assert_close(together, apart)
    gradients = [torch.autograd.grad(y.square().sum(), [*encoder.parameters()]) for y in (together, apart)]
    torch.testing.assert_close(*gradients)


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


ENCODERS = [
    (MLP([], init_std=None), "sigmoid"),
    (MLP([], init_std=None), "tanh"),
    (MLP([], init_std=None), "identity"),
    (MLP([6], "sigmoid", None), "identity"),
    (MLP([6], "tanh", None), "identity"),
    (MLP([6], "tanh", None), "sigmoid"),
    (MLP([6, 5], "relu", None), "identity"),
    (Conv([2, 3], [1, 2], 8, activation="tanh"), "identity"),
]


@pytest.mark.parametrize("context", [0, 3])
@pytest.mark.parametrize(("network", "activation"), ENCODERS)
def test_squared_jacobian_norm_is_that_of_autograd(network, activation, context):
    torch.manual_seed(0)
    encoder = network.encoder((1, 6, 4), context, 5, activation).double()
    x, c = torch.rand(3, 1, 6, 4, dtype=torch.float64), torch.rand(3, context, dtype=torch.float64)
    norm = encoder.squared_jacobian_norm(x, c)
    torch.testing.assert_close(norm, jacobian_norm(encoder, x, c))
    assert_same_gradients(norm, jacobian_norm(encoder, x, c), encoder)


def assert_same_gradients(ours, theirs, encoder):
    """With respect to the weights; one that does not matter may have none."""
    parameters = list(encoder.parameters())
    ours, theirs = (torch.autograd.grad(values.sum(), parameters, allow_unused=True) for values in (ours, theirs))
    zero = torch.zeros(())
    for pair in zip(ours, theirs, strict=True):
        values = [zero if gradient is None else gradient for gradient in pair]
        torch.testing.assert_close(*torch.broadcast_tensors(*values), check_dtype=False)


@pytest.mark.parametrize("context", [0, 3])
@pytest.mark.parametrize(("network", "activation"), ENCODERS)
def test_squared_jacobian_change_is_that_of_two_jacobians(network, activation, context):
    torch.manual_seed(0)
    encoder = network.encoder((1, 6, 4), context, 5, activation).double()
    x, near = torch.rand(3, 1, 6, 4, dtype=torch.float64), torch.randn(2, 3, 1, 6, 4, dtype=torch.float64)
    c = torch.rand(3, context, dtype=torch.float64)

    def jacobians(images):
        return torch.func.vmap(jacrev(lambda image, c: encoder(image[None], c[None])[0]))(images, c)

    expected = torch.stack([(jacobians(x) - jacobians(some)).square().sum((1, 2, 3, 4)) for some in near])
    change = encoder.squared_jacobian_change(x, near, c)
    torch.testing.assert_close(change, expected)
    if activation != "identity" or network is not ENCODERS[2][0]:
        assert (change > 1e-12).all()
    if change.requires_grad:
        assert_same_gradients(change, expected, encoder)


def test_closed_forms_do_not_call_autograd(monkeypatch):
    monkeypatch.setattr("vae_exp.network.mlp.squared_jacobian_norm_by_autograd", None)
    monkeypatch.setattr("vae_exp.network.mlp.squared_jacobian_change_by_autograd", None)
    x, c = torch.rand(2, 1, 6, 4), torch.zeros(2, 0)
    for network, activation in [(MLP([]), "sigmoid"), (MLP([6], "tanh"), "identity")]:
        encoder = network.encoder((1, 6, 4), 0, 5, activation)
        encoder.squared_jacobian_norm(x, c)
        encoder.squared_jacobian_change(x, x[None], c)


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


@pytest.mark.parametrize("hidden_sizes", [[], [7], [9, 6, 5]])
def test_a_tied_decoder_is_the_encoder_backwards(hidden_sizes):
    torch.manual_seed(0)
    network = MLP(hidden_sizes, "tanh", init_std=None, tied=True)
    encoder = network.encoder((1, 6, 4), 0, 3).double()
    decoder = network.decoder(3, (1, 6, 4), encoder).double()
    biases = [torch.randn_like(bias) for bias in decoder.parameters()]
    decoder.load_state_dict(dict(zip(decoder.state_dict(), biases, strict=True)))
    assert [bias.numel() for bias in biases] == [*reversed(hidden_sizes), 24]  # and no weights

    z = torch.randn(2, 3, dtype=torch.float64)
    h = z
    for linear, bias in zip(reversed(encoder.linears), biases, strict=True):
        h = torch.einsum("bi,ij->bj", h, linear.weight) + bias
        h = h.tanh() if len(bias) != 24 else h
    torch.testing.assert_close(decoder(z), h.view(2, 1, 6, 4))
    (gradient,) = torch.autograd.grad(decoder(z).square().sum(), encoder.linears[0].weight)
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize(
    ("encoder", "shape", "message"),
    [
        (None, (1, 6, 4), r"network\.tied=true: .*architecture=ae"),
        (Conv().encoder((1, 6, 4), 0, 3), (1, 6, 4), r"network\.tied=true"),
        (MLP([7]).encoder((1, 6, 4), 0, 3), (2, 6, 4), r"network\.tied=true: .*likelihood\.variance"),
    ],
)
def test_weights_that_cannot_be_tied_are_refused(encoder, shape, message):
    with pytest.raises(ConfigError, match=message):
        MLP([7], tied=True).decoder(3, shape, encoder)
