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


NETWORKS = [
    ["prior=flow", "prior.kind=maf"],
    ["prior=flow", "prior.kind=nsf"],
    ["prior=flow", "prior.kind=realnvp"],
    ["posterior=iaf"],
    ["posterior=spline"],
]
"""Flows whose networks zuko builds."""


def hidden(flow, sizes):
    return f"{flow[0].partition('=')[0]}.hidden_sizes=[{sizes}]"


@pytest.mark.parametrize(
    "words",
    [*([*flow, hidden(flow, "5,7")] for flow in NETWORKS), ["posterior=planar"], ["posterior=sylvester"]],
    ids=" ".join,
)
@pytest.mark.parametrize("latents", [1, 3])
def test_the_weights_of_flows_are_counted_before_they_are_built(words, latents):
    config = composed("name=test", *words, f"architecture.latent_dim={latents}")
    weights, _ = needed(config)
    model = build_architecture(config, build_data(config))
    assert weights == 3 * sum(parameter.nbytes for parameter in model.parameters())


@pytest.mark.parametrize("flow", NETWORKS, ids=" ".join)
def test_a_flow_that_cannot_fit_is_refused_before_it_is_built(run, flow):
    word = hidden(flow, "5000000,70000000")
    refused_at_the_start(run(*QUICK, *flow, word), word.replace(",", ", "), "training needs about")


@pytest.mark.parametrize(
    "flow", [*NETWORKS[:1], *NETWORKS[3:], ["posterior=planar"], ["posterior=sylvester"]], ids=" ".join
)
def test_a_flow_with_too_many_layers_is_refused_before_they_are_built(run, flow):
    word = f"{flow[0].partition('=')[0]}.transforms=1000000000"
    refused_at_the_start(run(*QUICK, *flow, word), word, "less than or equal to 1000")
