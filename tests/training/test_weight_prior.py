import torch
from torch import nn

from vae_exp.architecture import VAE
from vae_exp.likelihood import Bernoulli
from vae_exp.network import ResNet
from vae_exp.objective import SGVBB
from vae_exp.training.weight_prior import with_weight_prior


def test_the_prior_is_on_weights_and_not_on_biases_or_the_scales_of_a_normalisation():
    model = VAE((1, 8, 8), 0, ResNet(4, 8, groups=2, hidden_size=8), Bernoulli(), SGVBB(), latent_dim=2)
    weights = {m.weight for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    groups = with_weight_prior(model, 0.5)
    decay = {parameter: group["weight_decay"] for group in groups for parameter in group["params"]}
    assert decay == {parameter: 0.5 if parameter in weights else 0.0 for parameter in model.parameters()}

    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    torch.optim.SGD(groups, 0.1).step()
    for name, parameter in model.named_parameters():
        factor = 1 - 0.1 * 0.5 if parameter in weights else 1.0
        torch.testing.assert_close(parameter.detach(), factor * before[name])
