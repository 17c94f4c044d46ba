"""Overrides in a stored run or sweep: what is replayed chooses our parts and sets values."""

import json

import pytest
import yaml
from sent import BITES, QUICK, READERS, SWEEP, config_of, program, put, words_of

WORDS = [
    "network._target_=sent_along.Net",
    "network._target_=torch.hub.load",
    "network.hidden_sizes={_target_:os.mkdir,path:canary}",
    "+network._args_=[{_target_:os.mkdir,path:canary}]",
    "+callbacks.new._target_=sent_along.Net",
    "+callbacks.new={_target_:os.mkdir,path:canary}",
    "+trainer.profiler={_target_:sent_along.Net}",
    "architecture.corruption={_target_:sent_along.Net}",
    "+hydra.callbacks.new._target_=sent_along.Net",
    "+hydra={callbacks:{new:{_target_:sent_along.Net}}}",
    "hydra.searchpath=[pkg://sent_along]",
    "hydra/launcher=submitit_local",
    "hydra.run.dir=elsewhere",
    "hydra.job_logging.formatters.simple={():sent_along.Net}",
    "optimizer@hydra.callbacks.new=adam",
    "network=../../sent/conf/network",
    "+experiment=/sent/experiment",
    "name=${oc.env:CANARY}",
    "stages={one:['network._target_=sent_along.Net']}",
    "+stages.one=['+hydra.callbacks.new._target_=sent_along.Net']",
    "--config-dir=sent",
    "+trust.new=sent_along",
    "-m",
    "not an override",
]


@pytest.mark.parametrize("word", WORDS)
def test_words_that_are_replayed_choose_our_parts_and_set_values(hostile, refused, word):
    words_of(hostile).write_text(yaml.safe_dump([*QUICK, word]))
    message = refused(READERS["resume"], hostile)
    assert str(words_of(hostile)) in message
    assert any(offer in message for offer in ("trust=", "type it yourself", "no part of ours is written so"))


def test_a_directory_cannot_trust_itself(hostile, refused):
    words_of(hostile).write_text(yaml.safe_dump([*QUICK, "trust=sent_along", "network._target_=sent_along.Net"]))
    assert refused(READERS["resume"], hostile).endswith("trust=sent_along")
    put(config_of(hostile), "trust", "sent_along")
    put(config_of(hostile), "network._target_", "sent_along.Net")
    assert refused(READERS["load_run"], hostile).endswith("trust=sent_along")


def test_the_name_of_a_directory_is_not_what_the_command_line_names(hostile, refused):
    put(config_of(hostile), "network", BITES["an import"])
    named = hostile.rename(hostile.with_name("x._target_=sent_along.Net"))
    assert refused(READERS["resume"], named).endswith("trust=sent_along")


def test_a_flag_that_is_shown_controls_no_terminal(hostile, monkeypatch, capfd):
    record = hostile / ".hydra" / "hydra.yaml"
    sources = [{"path": "mine\x1b[2J", "schema": "file", "provider": "command-line"}]
    put(record, "hydra.runtime.config_sources", sources)
    program(monkeypatch, f"resume={hostile}", "samples=300")
    assert "mine" not in capfd.readouterr().err


@pytest.mark.parametrize("reader", SWEEP)
def test_a_job_of_a_sweep_is_held_to_the_same(hostile_sweep, refused, reader):
    put(config_of(hostile_sweep / "0"), "network", BITES["an import"])
    assert refused(SWEEP[reader], hostile_sweep).endswith("trust=sent_along")


SWEEP_WORDS = [
    "hydra.launcher._target_=sent_along.Net",
    "+hydra.launcher.setup=['touch canary']",
    "+hydra.launcher.init.runtime_env={py_executable:canary}",
    "hydra.launcher.address=ray://sender:10001",
    "hydra.launcher.partition='gpu touch'",
    "hydra.sweeper._target_=sent_along.Net",
    "hydra.sweeper.sampler._target_=sent_along.Net",
    "+hydra.sweeper.sampler.base_sampler={_target_:os.mkdir,path:canary}",
    "+hydra.sweeper.params={network._target_:'sent_along.Net,os.mkdir'}",
    "network._target_=vae_exp.network.MLP,sent_along.Net",
    "+network.tied=true,{_target_:sent_along.Net}",
    "+hydra.callbacks.new._target_=sent_along.Net",
    "hydra.sweep.subdir=${oc.env:CANARY}",
]


@pytest.mark.parametrize("reader", ["resume", "the command again"])
@pytest.mark.parametrize("word", SWEEP_WORDS)
def test_the_words_of_a_sweep_are_held_to_the_same(hostile_sweep, refused, word, reader):
    record = hostile_sweep / "multirun.yaml"
    began = yaml.safe_load(record.read_text())["hydra"]["overrides"]
    put(record, "hydra.overrides.hydra" if "hydra." in word else "hydra.overrides.task", [*began["task"], word])
    assert str(record) in refused(SWEEP[reader], hostile_sweep)


@pytest.mark.parametrize("subdirectory", ["../elsewhere", "/tmp/elsewhere"])
def test_a_sweep_stays_in_its_directory(hostile_sweep, refused, subdirectory):
    put(hostile_sweep / "multirun.yaml", "hydra.overrides.hydra", [f"hydra.sweep.subdir={subdirectory}"])
    assert "is no folder in" in refused(SWEEP["resume"], hostile_sweep)


@pytest.mark.parametrize("value", ["sent_along.Net", "${oc.env:CANARY}"])
def test_what_a_search_proposed_is_held_to_the_same(hostile_sweep, refused, value):
    key = "network._target_" if value == "sent_along.Net" else "network.hidden_sizes"
    (hostile_sweep / "proposals.json").write_text(json.dumps([{key: value}]))
    record = hostile_sweep / "multirun.yaml"
    search = ["hydra/sweeper=optuna"]
    put(record, "hydra.overrides.hydra", search)
    put(record, "hydra.overrides.task", [*QUICK, "optimizer.lr=0.1,0.2", "dataset.validation_size=50"])
    put(record, "hydra.runtime.choices.hydra/sweeper", "optuna")
    put(record, "hydra.sweeper.params", None)
    assert "proposals.json" in refused(SWEEP["resume"], hostile_sweep)
