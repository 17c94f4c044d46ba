"""Triangular matrices from vectors of features."""

import torch
from torch import Tensor, nn


class Triangular(nn.Module):
    """Puts features into the entries above, or below, the diagonal of a matrix; the others are 0.

    Args:
        size: Rows and columns, D.
        upper: Whether the entries lie above the diagonal.

    Attributes:
        features: The number of entries, D(D − 1)/2.
    """

    position: Tensor

    def __init__(self, size: int, upper: bool) -> None:
        super().__init__()
        self.size = size
        self.features = size * (size - 1) // 2
        rows, columns = torch.triu_indices(size, size, 1) if upper else torch.tril_indices(size, size, -1)
        position = torch.full((size, size), self.features)  # behind the features is a 0
        position[rows, columns] = torch.arange(self.features)
        self.register_buffer("position", position.flatten(), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Map features (…, D(D − 1)/2) to matrices (…, D, D)."""
        padded = torch.cat([features, features.new_zeros(*features.shape[:-1], 1)], -1)
        matrix: Tensor = padded[..., self.position].unflatten(-1, (self.size, self.size))
        return matrix
