from vae_exp.network.base import Decoder, Encoder, Network, Shape
from vae_exp.network.conv import Conv
from vae_exp.network.mlp import MLP

__all__ = ["MLP", "Conv", "Decoder", "Encoder", "Network", "Shape"]
