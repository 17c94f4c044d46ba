import pytest
import torch

QUICK = ["logger=none", "callbacks.figures=null"]
pytestmark = pytest.mark.usefixtures("few_digits")


def test_weight_prior_pulls_the_weights_to_zero(run):
    def norm(prior):
        outcome = run("samples=4000", f"weight_prior={prior}", "optimizer=sgd", "optimizer.lr=1e-4", *QUICK)
        weights = torch.load(outcome.directory / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        return sum(w.square().sum().item() for name, w in weights.items() if name.endswith("weight"))

    assert norm(4e5) < 0.98 * norm(0.0)
