import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from vae_exp.network import MLP
from vae_exp.network.bayesian import kl_of_weights, make_gaussian


@pytest.fixture
def decoder():
    torch.manual_seed(0)
    decoder = MLP([3], init_std=None).decoder(2, (1, 2, 2))
    make_gaussian(decoder, 0.3)
    return decoder.double()


def test_kl_of_the_weights_is_that_of_torch(decoder):
    posteriors = [
        Normal(p.original, p[0].log_std.exp())
        for p in decoder.modules()
        if isinstance(p, torch.nn.utils.parametrize.ParametrizationList)
    ]
    assert sum(q.loc.numel() for q in posteriors) == 3 * 2 + 3 + 4 * 3 + 4
    for precision in (1.0, 4.0):
        expected = sum(kl_divergence(q, Normal(0.0, precision**-0.5)).sum() for q in posteriors)
        torch.testing.assert_close(kl_of_weights(decoder, precision), expected)


def test_kl_of_the_weights_against_monte_carlo(decoder):
    (q,) = list(decoder.layers[0].parametrizations.bias)
    mean = decoder.layers[0].parametrizations.bias.original
    q = Independent(Normal(mean, q.log_std.exp()), 1)
    w = q.sample((400_000,))
    draws = q.log_prob(w) - Independent(Normal(torch.zeros_like(mean), 1.0), 1).log_prob(w)
    layer = torch.nn.Linear(1, 3)
    layer.weight = None
    layer.bias.data = mean.detach().clone()
    make_gaussian(layer, 0.3)
    assert kl_of_weights(layer, 1.0).item() == pytest.approx(draws.mean().item(), abs=0.02)


def test_weights_are_drawn_in_training_and_are_their_mean_in_evaluation(decoder):
    layer = decoder.layers[0]
    mean = layer.parametrizations.weight.original
    assert torch.equal(decoder.eval().layers[0].weight, mean)
    decoder.train()
    torch.manual_seed(0)
    draws = torch.stack([layer.weight for _ in range(20_000)])
    torch.testing.assert_close(draws.mean(0), mean, atol=0.01, rtol=0)
    torch.testing.assert_close(draws.std(0), torch.full_like(mean, 0.3), atol=0.01, rtol=0)
