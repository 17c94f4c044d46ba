"""Networks that tell draws of one distribution from those of another."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import softplus

from vae_exp.network.linear import Linear


class Discriminator(nn.Module):
    """D(z) = the probability that z is a draw from the prior and no code (Goodfellow et al. 2014, arXiv 1406.2661).

    Args:
        size: Size of z.
        hidden_sizes: Units of each hidden layer; a ReLU follows each.
    """

    def __init__(self, size: int, hidden_sizes: Sequence[int]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for m, n in pairwise([size, *hidden_sizes, 1]):
            layers += [Linear(m, n), nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, z: Tensor) -> Tensor:
        """Compute the logits of D(z), (B,), for z (B, size)."""
        logits: Tensor = self.layers(z).squeeze(1)
        return logits

    def loss_and_accuracy(self, draws: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Compute −log D(draw) − log(1 − D(code)) in nats, and the share of the pair that D recognises, each (B,).

        The share is 0, ½ or 1; ½ on average if D cannot tell them. No derivative reaches the codes.
        """
        of_draws, of_codes = self(draws), self(codes.detach())
        share = 0.5 * (of_draws > 0).to(of_codes) + 0.5 * (of_codes < 0).to(of_codes)
        return softplus(-of_draws) + softplus(of_codes), share

    def loss_of_codes(self, codes: Tensor) -> Tensor:
        """Compute −log D(code), (B,) in nats: what the encoder lowers. No derivative reaches this network."""
        constants = {name: parameter.detach() for name, parameter in self.named_parameters()}
        logits: Tensor = functional_call(self, constants, (codes,))
        return softplus(-logits)
