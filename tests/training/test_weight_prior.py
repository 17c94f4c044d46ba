import pytest
import torch
from torch import nn

from vae_exp.architecture import VAE
from vae_exp.likelihood import Bernoulli
from vae_exp.network import ResNet
from vae_exp.objective import SGVBB
from vae_exp.training.weight_prior import with_weight_prior

QUICK = ["logger=none", "callbacks.figures=null"]


@pytest.mark.usefixtures("few_digits")
def test_weight_prior_pulls_the_weights_to_zero(run):
    def norm(prior):
        outcome = run("samples=1000", f"weight_prior={prior}", "optimizer=sgd", "optimizer.lr=4e-4", *QUICK)
        weights = torch.load(outcome.directory / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        return sum(w.square().sum().item() for name, w in weights.items() if name.endswith("weight"))

    assert norm(4e5) < 0.98 * norm(0.0)


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
