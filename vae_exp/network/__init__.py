"""Networks: features in, features out. Imports only from `errors` and from this floor."""

from vae_exp.network.base import Decoder, Encoder, Network, Shape
from vae_exp.network.conv import Conv
from vae_exp.network.mlp import MLP
from vae_exp.network.resnet import ResNet

__all__ = ["MLP", "Conv", "Decoder", "Encoder", "Network", "ResNet", "Shape"]
