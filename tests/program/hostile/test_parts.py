"""Parts in a stored config: each place takes our own parts alone, and nothing is resolved or imported."""

import contextlib
import os
import sys

import pytest
from hydra.utils import instantiate
from sent import BITES, READERS, config_of, put

from vae_exp.config.trust import packaged_targets


@pytest.mark.parametrize("node", BITES.values(), ids=BITES)
def test_the_corpus_would_run(canary, node):
    with contextlib.suppress(Exception):
        instantiate(node)
    sys.modules.pop("sent_along", None)
    assert canary.exists()


@pytest.mark.parametrize("reader", READERS)
def test_a_part_that_is_not_ours_is_refused_by_name_by_everything_that_reads_a_run(hostile, refused, reader):
    put(config_of(hostile), "network", BITES["an import"])
    message = refused(READERS[reader], hostile)
    assert message.startswith(f"network._target_=sent_along.Net in {config_of(hostile)}: ")
    assert "Allowed here: vae_exp.network.Conv, vae_exp.network.MLP, vae_exp.network.ResNet." in message
    assert message.endswith("trust=sent_along")


PLACES = [
    ("architecture", "torch.hub"),
    ("architecture.corruption", "touch"),
    ("callbacks.evaluate", "mkdir"),
    ("callbacks.new", "numpy"),
    ("callbacks.checkpoint.every_seconds", "mkdir"),
    ("dataset", "torch.load"),
    ("dataset.source", "an import"),
    ("likelihood", "mkdir"),
    ("logger", "an import"),
    ("logger.wandb", "numpy"),
    ("name", "mkdir"),
    ("network", "arguments"),
    ("network", "deep"),
    ("network", "our torch"),
    ("network", "partial"),
    ("network.hidden_sizes", "touch"),
    ("objective", "torch.load"),
    ("optimizer", "torch.hub"),
    ("optimizer.lr", "mkdir"),
    ("paths.data", "touch"),
    ("stages", "an import"),
    ("trainer", "mkdir"),
    ("trainer.profiler", "an import"),
    ("unknown", "mkdir"),
]


@pytest.mark.parametrize(("place", "bite"), PLACES, ids=str)
def test_every_place_takes_our_own_parts_alone(hostile, refused, place, bite):
    put(config_of(hostile), place, BITES[bite])
    message = refused(READERS["load_run"], hostile)
    assert message.startswith(f"{place}.")
    assert str(config_of(hostile)) in message
    package = str(BITES[bite]["_target_"]).partition(".")[0]
    assert ("trust=" in message) == (package != "vae_exp" or bite in ("deep", "partial"))


@pytest.mark.parametrize(
    ("place", "target"),
    [
        ("network", "vae_exp.results.load.load_run"),
        ("network", "vae_exp.architecture.VAE"),
        ("network", "vae_exp.network.Network"),
        ("network", "vae_exp.network.mlp.MLP"),
        ("optimizer", "vae_exp.optimizer.optim.SGD"),
        ("dataset.source", "vae_exp.dataset.Dataset"),
        ("callbacks.new", "vae_exp.training.settings.TrainerSettings"),
        ("likelihood", ["vae_exp.likelihood.Bernoulli"]),
        ("likelihood", 3),
    ],
    ids=str,
)
def test_our_own_parts_belong_in_their_places(hostile, refused, place, target):
    put(config_of(hostile), f"{place}._target_", target)
    message = refused(READERS["load_run"], hostile)
    assert message.startswith(f"{place}._target_=")
    assert "trust=" not in message


@pytest.mark.parametrize(
    ("reader", "value"),
    [
        *((reader, "${oc.env:CANARY}") for reader in READERS),
        *(("load_run", value) for value in ("${by_choice:network,{mlp:3}}", "${seed}", "???")),
    ],
)
def test_nothing_in_a_stored_config_is_resolved(hostile, refused, reader, value):
    put(config_of(hostile), "architecture.latent_dim", value)
    message = refused(READERS[reader], hostile)
    assert message.startswith(f"architecture.latent_dim={value} in {config_of(hostile)}: ")
    assert os.environ["CANARY"] not in message


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [1]\nb: *a\n",
        "!!python/object/apply:os.mkdir [canary]",
        "a: !!python/name:os.system",
        "[" * 400 + "]" * 400,
        "- 1",
    ],
    ids=["alias", "call", "object", "deep", "list"],
)
def test_a_config_that_is_no_plain_yaml_is_refused(hostile, refused, text):
    config_of(hostile).write_text(text)
    assert str(config_of(hostile)) in refused(READERS["load_run"], hostile)


def test_what_is_refused_is_told_in_one_line(hostile, refused):
    put(config_of(hostile), "network._target_", "os.system\nAll is well\x1b[2J")
    assert "os.system\\nAll is well\\x1b[2J" in refused(READERS["load_run"], hostile)


def test_a_model_that_does_not_fit_into_the_memory_is_one_line(hostile, refused):
    put(config_of(hostile), "architecture.latent_dim", 10**15)
    assert refused(READERS["load_run"], hostile).startswith("Out of memory: ")


def test_a_stored_value_in_a_message_is_one_line(hostile, refused):
    put(config_of(hostile), "architecture.latent_dim", "2\n\x1b[2J")
    message = refused(READERS["load_run"], hostile)
    assert "architecture.latent_dim=2\\n\\x1b[2J: is not allowed" in message


def test_every_packaged_part_has_its_place():
    places = {
        "architecture",
        "architecture.corruption",
        "callbacks",
        "dataset",
        "dataset.source",
        "head",
        "likelihood",
        "logger",
    }
    places |= {
        "network",
        "objective",
        "optimizer",
        "posterior",
        "prior",
        "scheduler",
        "trainer",
        "hydra.launcher",
        "hydra.sweeper",
        "hydra.sweeper.sampler",
    }
    assert packaged_targets().keys() == places
