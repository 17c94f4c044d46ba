import torch

from vae_exp.dataset.base import balanced_choice


def test_smaller_choices_lie_in_larger_ones():
    labels = torch.arange(300) % 10
    small, large = balanced_choice(labels, 20, 10, seed=5), balanced_choice(labels, 100, 10, seed=5)
    assert set(small.tolist()) < set(large.tolist())
