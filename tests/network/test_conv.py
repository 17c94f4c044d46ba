import pytest

from vae_exp.errors import ConfigError
from vae_exp.network import Conv


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


def test_strides_must_match_channels():
    with pytest.raises(ConfigError, match=r"network\.strides"):
        Conv([1, 2], [1])
