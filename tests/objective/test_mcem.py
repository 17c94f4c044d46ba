from itertools import pairwise

import pytest
import torch
from torch.distributions import Independent, MultivariateNormal, Normal

from vae_exp.hmc import Chains, hmc
from vae_exp.objective import MCEM


class TestMCEM:
    """On x = z·W + noise, whose posterior, and whose best W, are known."""

    NOISE = 0.5
    p = Independent(Normal(torch.zeros(2), torch.ones(2)), 1)

    @pytest.fixture
    def weight(self):
        torch.manual_seed(0)
        return torch.randn(2, 6)

    def decode(self, weight):
        return lambda z, some=None: Independent(Normal(z @ weight, self.NOISE), 1)

    def test_e_steps_sample_the_posterior_at_the_acceptance_that_was_asked_for(self, weight):
        x, index, decode = torch.randn(3, 6), torch.arange(3), self.decode(weight)
        objective = MCEM(samples=400, updates=1)
        objective.begin(3, self.p)
        kept = [objective.z_of_batch for _ in range(60 * 11) if objective.e_step(x, index, self.p, decode)]
        assert len(kept) == 60
        z = torch.stack(kept[30:]).flatten(0, 1)
        covariance = torch.linalg.inv(torch.eye(2) + weight @ weight.T / self.NOISE**2)
        torch.testing.assert_close(z.mean(0), x @ weight.T @ covariance / self.NOISE**2, atol=0.02, rtol=0)
        for i in range(3):
            torch.testing.assert_close(z[:, i].T.cov(), covariance, atol=0.01, rtol=0)
        chains = Chains(z[-400:], objective.step_size.expand(3), objective.step_size)
        log_joint = lambda z: self.p.log_prob(z) + decode(z).log_prob(x)  # noqa: E731
        assert hmc(log_joint, chains, 1, 10).acceptance.mean().item() == pytest.approx(0.9, abs=0.03)

    def test_latents_stay_through_the_evaluations_of_a_batch_and_between_the_visits(self, weight):
        objective = MCEM(updates=1, leapfrog_steps=2)
        objective.begin(10, self.p)
        decode, x = self.decode(weight), torch.randn(10, 6)

        def visit(index):
            updates.append(objective.e_step(x[index], index, self.p, decode))
            assert torch.equal(objective.z_of_batch, objective.z[:, index])
            return objective.z.clone()

        first, second = torch.tensor([7, 2, 5]), torch.tensor([0, 1, 9])
        begun, updates = objective.z.clone(), []
        tables = [visit(first) for _ in range(3)] + [visit(second) for _ in range(4)]
        moved = [(a != b).any(-1)[0].nonzero().flatten().tolist() for a, b in pairwise([begun, *tables])]
        assert set(moved[0]) <= {2, 5, 7}
        assert set(moved[3]) <= {0, 1, 9}
        assert set(moved[6]) <= {0, 1, 9}  # the three evaluations are over
        assert updates == [False, False, True, False, False, True, False]
        assert moved[0]
        assert moved[3]
        assert moved[1] == moved[2] == moved[4] == moved[5] == []

    def test_it_reaches_the_maximum_of_the_likelihood(self, weight):
        """That of probabilistic PCA with a known noise (Tipping and Bishop 1999)."""
        n = 400
        x = torch.randn(n, 2) @ weight + self.NOISE * torch.randn(n, 6)
        values, vectors = torch.linalg.eigh(x.T @ x / n)
        best = (vectors[:, -2:] * (values[-2:] - self.NOISE**2).sqrt()).T

        def log_likelihood(W):
            covariance = W.T @ W + self.NOISE**2 * torch.eye(6)
            return MultivariateNormal(torch.zeros(6), covariance).log_prob(x).mean().item()

        W = (0.1 * torch.randn(2, 6)).requires_grad_()
        objective, optimizer = MCEM(samples=4), torch.optim.Adam([W])
        objective.begin(n, self.p)
        for i in range(1500):
            while not objective.e_step(x, torch.arange(n), self.p, self.decode(W.detach())):
                pass
            optimizer.param_groups[0]["lr"] = 0.03 * (1 - i / 1500)
            optimizer.zero_grad()
            objective(x, None, self.p, self.decode(W))["nll"].mean().backward()
            optimizer.step()
        assert log_likelihood(best) - 0.02 < log_likelihood(W.detach()) <= log_likelihood(best) + 1e-4

    def test_a_checkpoint_brings_everything_back(self, weight):
        x, index = torch.randn(3, 6), torch.arange(3)
        ends = []
        for stopped in (False, True):
            torch.manual_seed(0)
            objective = MCEM(updates=3, leapfrog_steps=2)
            objective.begin(3, self.p)
            for i in range(13):
                if stopped and i == 8:  # in the middle of an M step
                    state, objective = objective.state_dict(), MCEM(updates=3, leapfrog_steps=2)
                    objective.load_state_dict(state)
                    objective.begin(3, self.p)
                objective.e_step(x, index, self.p, self.decode(weight))
            ends.append((objective.z, objective.step_size))
        assert all(map(torch.equal, *ends))
