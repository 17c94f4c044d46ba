import pytest
import torch

from vae_exp.architecture import VAE
from vae_exp.likelihood import Bernoulli
from vae_exp.network import MLP
from vae_exp.network.bayesian import kl_of_weights
from vae_exp.objective import FullVB


class TestFullVB:
    @pytest.fixture
    def model(self):
        torch.manual_seed(0)
        return VAE((1, 2, 2), 0, MLP([3], init_std=None), Bernoulli(), FullVB(weight_std=0.3), latent_dim=2).double()

    def test_the_loss_is_the_bound_on_the_whole_data_set(self, model):
        """Of appendix F: N·(nll + kl) + KL of the weights, at one draw of the weights."""
        x = torch.rand(5, 1, 2, 2, dtype=torch.float64)
        torch.manual_seed(0)
        terms = model.terms(x)
        assert set(terms) == {"nll", "kl", "kl_weights"}
        assert terms["kl_weights"].shape == (5,)
        torch.testing.assert_close(terms["kl_weights"][0], kl_of_weights(model.decoder, 1.0))
        gradients = torch.autograd.grad(
            sum(t.mean() for t in terms.values()), [p for p in model.parameters() if p.requires_grad]
        )
        assert all(g.any() for g in gradients)
