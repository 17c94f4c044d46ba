import pytest
import torch
from linear_gaussian import NOISE, SHAPE, Linear, linear_model
from torch import nn
from torch.nn.functional import one_hot

from vae_exp.architecture import VAE
from vae_exp.evaluation.marginal_likelihood import by_posterior_samples
from vae_exp.network import MLP
from vae_exp.objective import SGVBB
from vae_exp.posterior.hmc import HMCPosterior, starting_points


@pytest.mark.parametrize("classes", [0, 3])
def test_without_an_encoder_the_posterior_is_found_by_hmc(classes):
    """The model is linear, so the best normal with independent components has known moments."""
    model, x, y, exact = linear_model(classes)
    weight, bias = model.decoder.parameters()
    W, of_classes = weight.detach().split([3, classes], 1)
    context = one_hot(y, classes).to(x) if classes else x.new_zeros(len(x), 0)
    b = bias + (of_classes.T[y] if classes else 0)
    covariance = torch.linalg.inv(torch.eye(3, dtype=torch.float64) + W.T @ W / NOISE**2)
    torch.manual_seed(0)
    q = HMCPosterior(lambda: model.joint)(x, context)
    torch.testing.assert_close(q.mean, (x.flatten(1) - b) @ W @ covariance / NOISE**2, atol=0.25, rtol=0)
    torch.testing.assert_close(q.stddev, covariance.diagonal().sqrt().expand(7, 3), atol=0.05, rtol=0.3)
    with torch.no_grad():
        terms = SGVBB(4000)(x, lambda _: q, model.prior, lambda z: model.decode(z, y))
    bounds = -(terms["nll"] + terms["kl"])
    assert (bounds < exact).all()
    assert (bounds > exact - 3).all()  # what a diagonal covariance loses


def test_chains_begin_in_the_mode_that_holds_the_mass():
    """Two digits' worth of latents explain an image nearly: one of them a little better, far away."""
    model = VAE(SHAPE, 0, MLP([]), Linear(), SGVBB(), latent_dim=1).eval()
    x = torch.full((5, *SHAPE), 0.9)

    class Folded(nn.Module):
        def forward(self, z):
            peak = 0.8 * torch.exp(-50 * (z + 2).square()) + torch.exp(-50 * (z - 1.5).square())
            return peak[:, :, None, None].expand(-1, *SHAPE)

    model.decoder = Folded()
    z = starting_points(model.joint, x, None, 100)
    assert z.shape == (100, 5, 1)
    assert ((z - 1.5).abs() < 0.5).double().mean() > 0.5
    assert (((z - 1.5).abs() < 0.5) | ((z + 2).abs() < 0.5)).all()

    # an encoder that is sure of the other one loses what lies in this one
    with torch.no_grad():
        (linear,) = model.encoder.linears
        linear.weight.zero_()
        linear.bias.copy_(torch.tensor([-2.0, -6.0]))
    lower, right = (by_posterior_samples(model, x, None, begin_at=at).value.mean() for at in ("encoder", "prior"))
    assert lower < right - 0.1
