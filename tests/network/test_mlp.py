import pytest
import torch

from vae_exp.errors import ConfigError
from vae_exp.network import MLP, Conv


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


def test_paper_initialisation():
    encoder = MLP([500], init_std=0.01).encoder((1, 28, 28), 0, 40)
    weight, bias = encoder.linears[0].weight, encoder.linears[0].bias
    assert weight.std().item() == pytest.approx(0.01, rel=0.01)
    assert weight.mean().item() == pytest.approx(0, abs=1e-4)
    assert not bias.any()
    assert MLP([500], init_std=None).encoder((1, 28, 28), 0, 40).linears[0].bias.any()


def test_closed_forms_do_not_call_autograd(monkeypatch):
    monkeypatch.setattr("vae_exp.network.mlp.squared_jacobian_norm_by_autograd", None)
    monkeypatch.setattr("vae_exp.network.mlp.squared_jacobian_change_by_autograd", None)
    x, c = torch.rand(2, 1, 6, 4), torch.zeros(2, 0)
    for network, activation in [(MLP([]), "sigmoid"), (MLP([6], "tanh"), "identity")]:
        encoder = network.encoder((1, 6, 4), 0, 5, activation)
        encoder.squared_jacobian_norm(x, c)
        encoder.squared_jacobian_change(x, x[None], c)


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
