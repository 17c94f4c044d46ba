import pytest
import torch
from messages import refused_at_the_start
from yamls import composed

from vae_exp.config.assembly import build_architecture, build_data
from vae_exp.config.memory import check_memory, needed
from vae_exp.errors import UserError

QUICK = ["samples=200", "logger=none", "callbacks.figures=null"]
pytestmark = pytest.mark.usefixtures("few_digits")


def test_memory_that_runs_out_is_one_message(run, monkeypatch):
    monkeypatch.setattr("vae_exp.training.fit.check_memory", lambda config, objects: None)
    monkeypatch.setattr("vae_exp.architecture.VAE.weights", lambda *_: torch.empty(2**60))
    refused_at_the_start(run(*QUICK), "Out of memory", "dataset.batch_size")


def test_the_estimate_leaves_no_trace_and_is_near_what_is_allocated():
    config = composed("name=test", "network.hidden_sizes=[4000]")
    before = torch.get_rng_state()
    weights, batch = needed(config)
    assert torch.equal(before, torch.get_rng_state())
    parameters = 784 * 4000 * 2 + 4000 * 40 + 4000 * 20 + 4000 + 40 + 4000 + 784
    assert weights == 3 * 4 * parameters
    assert 4 * 100 * (784 + 2 * 4000) <= batch < 10 * 4 * 100 * (784 + 2 * 4000)
    check_memory(config, memory=weights + batch)
    with pytest.raises(UserError, match=r"network\.hidden_sizes=\[4000\]"):
        check_memory(config, memory=weights + batch - 1)


@pytest.mark.parametrize(
    "flow",
    [
        ["prior=flow", "prior.kind=maf"],
        ["prior=flow", "prior.kind=nsf"],
        ["prior=flow", "prior.kind=realnvp"],
        ["posterior=iaf"],
        ["posterior=spline"],
        ["posterior=planar"],
        ["posterior=sylvester"],
    ],
    ids=lambda words: words[-1],
)
@pytest.mark.parametrize("latents", [1, 3])
def test_the_weights_of_flows_are_counted_before_they_are_built(flow, latents):
    part = flow[0].partition("=")[0]
    key = "planar" in flow[0] or "sylvester" in flow[0]
    words = [] if key else [f"{part}.hidden_sizes=[5,7]"]
    config = composed("name=test", *flow, *words, f"architecture.latent_dim={latents}")
    weights, _ = needed(config)
    data = build_data(config)
    model = build_architecture(config, data)
    assert weights == 3 * sum(parameter.nbytes for parameter in model.parameters())
    if not key and latents > 1:
        config = composed(
            "name=test", *flow, f"{part}.hidden_sizes=[5000000,70000000]", f"architecture.latent_dim={latents}"
        )
        with pytest.raises(UserError, match=r"hidden_sizes=\[5000000, 70000000\]: training needs about"):
            check_memory(config)
