"""What every network has."""

import pytest
import torch
from torch.func import jacrev

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


def test_jacobian_by_autograd_in_pieces_and_without_gradients():
    f = MLP([6], "softplus", None).encoder((1, 6, 4), 0, 5)
    x, c = torch.rand(3, 1, 6, 4), torch.zeros(3, 0)
    whole = squared_jacobian_norm_by_autograd(lambda x: f(x, c), x)
    with torch.no_grad():
        pieces = squared_jacobian_norm_by_autograd(lambda x: f(x, c), x, rows=2)
    torch.testing.assert_close(whole, pieces)
    assert not pieces.requires_grad
