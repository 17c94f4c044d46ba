"""What an optimizer's step is, where its name alone leaves that open."""

import math

import pytest
import torch

from vae_exp.optimizer import rmsprop


@pytest.mark.parametrize(("size", "of_keras"), [(1e-4, 0.3015), (1e-2, 0.9995)])
def test_rmsprop_adds_epsilon_to_the_root_where_keras_adds_it_under_the_root(size, of_keras):
    """At gradients that stay the same, v = g²."""
    weight = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimizer = rmsprop([{"params": [weight], "weight_decay": 0.0}], lr=1.0)
    for _ in range(300):
        before = weight.item()
        weight.grad = torch.full_like(weight, size)
        optimizer.step()
    assert before - weight.item() == pytest.approx(size / (math.sqrt(size**2) + 1e-7), rel=1e-6)
    assert size / math.sqrt(size**2 + 1e-7) == pytest.approx(of_keras, abs=1e-4)
