import pytest
import torch

from vae_exp.architecture import Classifier, Stacked
from vae_exp.likelihood import Bernoulli

SHAPE = (1, 8, 6)


@pytest.fixture
def batch():
    torch.manual_seed(0)
    return torch.rand(5, *SHAPE), torch.arange(5)


def test_the_layers_of_a_stacked_autoencoder_are_all_trained_by_its_classifier(batch):
    model = Classifier(SHAPE, 10, Stacked(SHAPE, Bernoulli(), sizes=[5, 4], depth=2))
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert frozen == {"encoder.stack.0.bias", "encoder.stack.1.bias"}  # of the way back
    assert not [p for p in model.parameters() if p.grad is not None]
