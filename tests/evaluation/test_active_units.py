import torch

from vae_exp.evaluation.active_units import active_units


def test_active_units_are_those_whose_mean_varies():
    torch.manual_seed(0)
    deviations = torch.tensor([1.0, 0.12, 0.08, 0.0])
    assert active_units(3 + deviations * torch.randn(5000, 4)) == 2
