import math

import pytest
import torch
from torch.distributions import MultivariateNormal

from vae_exp.architecture import VAE
from vae_exp.hmc import Chains, hmc, start_chains, with_gradient
from vae_exp.likelihood import Gaussian
from vae_exp.network import MLP
from vae_exp.objective import SGVBB

SHAPE = (1, 3, 2)


def test_hmc_samples_a_normal_and_reaches_its_rate():
    torch.manual_seed(0)
    target = MultivariateNormal(torch.tensor([1.0, -2.0]), torch.tensor([[1.0, 0.6], [0.6, 0.8]]))
    adapted = hmc(target.log_prob, start_chains(torch.zeros(500, 3, 2)), 100, 5, target=0.9)
    assert adapted.acceptance.mean().item() == pytest.approx(0.9, abs=0.05)
    chains = hmc(target.log_prob, adapted, 50, 5)
    assert torch.equal(chains.step_size, adapted.step_size)
    samples = chains.z.flatten(0, 1)
    torch.testing.assert_close(samples.mean(0), target.mean, atol=0.1, rtol=0)
    torch.testing.assert_close(samples.T.cov(), target.covariance_matrix, atol=0.12, rtol=0)


def test_trajectories_do_not_go_in_circles():
    """Five steps of π/5 are half a period of N(0, I): a trajectory of one length ends opposite of where it began."""
    torch.manual_seed(0)
    start = Chains(torch.tensor([5.0, 0.0]).expand(300, 1, 2), torch.tensor([math.pi / 5]), torch.zeros(1))
    moved = hmc(lambda z: -0.5 * z.square().sum(-1), start, 20, 5)
    assert moved.z.square().sum(-1).mean().item() == pytest.approx(2, abs=0.4)


@pytest.mark.parametrize("training", [False, True])
def test_samplers_follow_the_gradient_of_the_joint_density(training):
    """Against finite differences, where half of the σ lie below their floor."""
    torch.manual_seed(0)
    model = VAE(SHAPE, 0, MLP([], init_std=None), Gaussian(min_std=0.5), SGVBB(), latent_dim=3).double()
    model.train(training)
    with torch.no_grad():
        model.decoder.layers[0].bias.copy_(torch.cat([torch.zeros(6), torch.tensor([-3.0, 0.0] * 3)]))
    x, z = torch.rand(5, *SHAPE, dtype=torch.float64), torch.randn(4, 5, 3, dtype=torch.float64)
    _, found = with_gradient(lambda z: model.joint.log_density(x, z), z)
    step = 1e-6 * torch.eye(3, dtype=torch.float64)
    with torch.no_grad():
        slopes = [(model.joint.log_density(x, z + h) - model.joint.log_density(x, z - h)) / 2e-6 for h in step]
    torch.testing.assert_close(found, torch.stack(slopes, -1), rtol=1e-6, atol=1e-6)
    assert model.likelihood.training == training
