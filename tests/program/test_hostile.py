"""Run and sweep directories that somebody else could have sent: nothing in them runs, whatever reads them."""

import contextlib
import json
import os
import pickle
import re
import shutil
import sys
from pathlib import Path

import pytest
import torch
import yaml
from hydra.utils import instantiate
from pages import report_data

import vae_exp
from vae_exp.cli import evaluate, report, sample
from vae_exp.cli.main import main
from vae_exp.config.trust import packaged
from vae_exp.dataset.base import Splits
from vae_exp.dataset.mnist import MNIST
from vae_exp.errors import RunError

QUICK = ["samples=200", "network.hidden_sizes=[4]", "architecture.latent_dim=2", "logger=none", "trainer.compile=false"]
QUICK += ["callbacks.figures=null", "callbacks.evaluate.decades=0.1", "dataset.train_size=200"]


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """A sweep of one job that has really run."""
    load, folder = MNIST.load, tmp_path_factory.mktemp("clean")
    with pytest.MonkeyPatch.context() as patch:
        few = lambda self: Splits(load(self).train[:200], load(self).test[:50])  # noqa: E731
        patch.setattr(MNIST, "load", few)
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["vae_exp", "-m", "seed=0", *QUICK, "hydra.sweep.dir=sweep"])
        main()
    return folder / "sweep"


@pytest.fixture
def canary(tmp_path, monkeypatch):
    """A file that is there as soon as anything has run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))  # as `python -m` does
    canary = tmp_path / "canary"
    monkeypatch.setenv("CANARY", str(canary))
    touch = f"import pathlib\npathlib.Path({str(canary)!r}).touch()\n"
    (tmp_path / "sent_along.py").write_text(f"{touch}class Net:\n    pass\n")
    (tmp_path / "hubconf.py").write_text(f"{touch}def net(**_):\n    pass\n")
    (tmp_path / "pickled").write_bytes(pickle.dumps(Touch(str(canary))))
    torch.save(Touch(str(canary)), tmp_path / "saved")
    return canary


class Touch:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


@pytest.fixture
def hostile(clean, canary, tmp_path):
    """A copy of the job, to be poisoned."""
    return Path(shutil.copytree(clean / "0", tmp_path / "sent"))


@pytest.fixture
def hostile_sweep(clean, canary, tmp_path):
    return Path(shutil.copytree(clean, tmp_path / "sent_sweep"))


def put(file, key, value):
    """Write a value into a YAML file, by its key."""
    values = yaml.safe_load(file.read_text())
    *folders, last = key.split(".")
    node = values
    for folder in folders:
        node[folder] = node.get(folder) if isinstance(node.get(folder), dict) else {}
        node = node[folder]
    node[last] = value
    file.write_text(yaml.safe_dump(values))


def config_of(directory):
    return directory / ".hydra" / "config.yaml"


def words_of(directory):
    return directory / ".hydra" / "overrides.yaml"


def main_of(module):
    def call(monkeypatch, *arguments):
        monkeypatch.setattr(sys, "argv", ["program", *map(str, arguments)])
        module.main()

    return call


program = main_of(sys.modules["vae_exp.cli.main"])
READERS = {
    "load_run": lambda patch, path: vae_exp.load_run(path),
    "sample": lambda patch, path: main_of(sample)(patch, f"run={path}"),
    "evaluate": lambda patch, path: main_of(evaluate)(patch, f"run={path}"),
    "report": lambda patch, path: main_of(report)(patch, path),
    "start_from": lambda patch, path: program(patch, f"start_from={path}", *QUICK),
    "resume": lambda patch, path: program(patch, f"resume={path}", "samples=300"),
}
"""Every way to read a run directory."""


@pytest.fixture
def refused(monkeypatch, capfd, canary):
    """What is said in one line, and that nothing else has happened."""

    def call(read, path):
        capfd.readouterr()
        with pytest.raises((RunError, SystemExit)) as refusal:
            read(monkeypatch, path)
        message, _, hint = capfd.readouterr().err.partition("\n\n")
        if isinstance(refusal.value, RunError):
            message = str(refusal.value)
        else:
            assert refusal.value.code == 1
            assert hint.startswith("HYDRA_FULL_ERROR")
        assert not canary.exists()
        assert "sent_along" not in sys.modules
        assert "Traceback" not in message
        beside = ("[", "\x1b", "Error executing job with overrides")  # what is logged, and what Hydra says of a job
        lines = [line for line in message.splitlines() if not line.startswith(beside)]
        assert len(lines) == 1, message
        return lines[0]

    return call


BITES = {
    "touch": {"_target_": "pathlib.Path.touch", "_args_": [{"_target_": "pathlib.Path", "_args_": ["canary"]}]},
    "mkdir": {"_target_": "os.mkdir", "path": "canary"},
    "torch.load": {"_target_": "torch.load", "f": "saved", "weights_only": False},
    "our torch": {"_target_": "vae_exp.network.mlp.torch.load", "f": "saved", "weights_only": False},
    "torch.hub": {"_target_": "torch.hub.load", "repo_or_dir": ".", "source": "local", "model": "net"},
    "numpy": {"_target_": "numpy.load", "file": "pickled", "allow_pickle": True},
    "an import": {"_target_": "sent_along.Net"},
    "deep": {"_target_": "vae_exp.network.MLP", "hidden_sizes": {"_target_": "sent_along.Net"}},
    "arguments": {"_target_": "vae_exp.network.MLP", "_args_": [{"_target_": "os.mkdir", "path": "canary"}]},
    "partial": {"_target_": "vae_exp.network.MLP", "_partial_": True, "tied": {"_target_": "sent_along.Net"}},
}


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
    assert "Allowed here: vae_exp.network.Conv, vae_exp.network.MLP." in message
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
        ("callbacks.new", "vae_exp.training.trainer.Trainer"),
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


def test_what_is_refused_is_told_in_one_line(hostile, refused):
    put(config_of(hostile), "network._target_", "os.system\nAll is well\x1b[2J")
    assert "os.system\\nAll is well\\x1b[2J" in refused(READERS["load_run"], hostile)


def test_a_flag_that_is_shown_controls_no_terminal(hostile, monkeypatch, capfd):
    record = hostile / ".hydra" / "hydra.yaml"
    sources = [{"path": "mine\x1b[2J", "schema": "file", "provider": "command-line"}]
    put(record, "hydra.runtime.config_sources", sources)
    program(monkeypatch, f"resume={hostile}", "samples=300")
    assert "mine" not in capfd.readouterr().err


SWEEP = {
    "resume": lambda patch, path: program(patch, f"sweep.resume={path}"),
    "the command again": lambda patch, path: program(patch, "-m", "seed=0", f"hydra.sweep.dir={path}"),
    "report": lambda patch, path: main_of(report)(patch, path),
}


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


@pytest.mark.parametrize("reader", ["load_run", "sample", "evaluate", "start_from", "resume"])
def test_a_checkpoint_is_never_unpickled(hostile, refused, canary, reader):
    (hostile / "checkpoints" / "last.ckpt").write_bytes((canary.parent / "saved").read_bytes())
    assert "last.ckpt: is damaged or not a checkpoint" in refused(READERS[reader], hostile)


def test_the_config_in_a_checkpoint_is_data_too(hostile, refused):
    file = hostile / "checkpoints" / "last.ckpt"
    checkpoint = torch.load(file, weights_only=True)
    checkpoint["vae_exp"]["config"] = checkpoint["vae_exp"]["config"].replace("\nseed: 0", "\nseed: ${oc.env:CANARY}")
    torch.save(checkpoint, file)
    assert refused(READERS["resume"], hostile).startswith("seed=${oc.env:CANARY} in ")


@pytest.mark.parametrize("stage", ["..", "../sent", "/etc", ".", "a/b", ""], ids=str)
@pytest.mark.parametrize("reader", ["load_run", "report"])
def test_a_stage_is_a_folder_of_the_run(hostile, refused, reader, stage):
    results = json.loads((hostile / "results.json").read_text())
    (hostile / "results.json").write_text(json.dumps(results | {"stage": stage}))
    put(config_of(hostile), "stages", {"one": []})
    assert f"stage in {hostile / 'results.json'}" in refused(READERS[reader], hostile)


@pytest.mark.parametrize(
    ("reader", "link"),
    [
        *((reader, ".lock") for reader in READERS),
        *(("resume", link) for link in ("results.json.part", "vae_exp.log", "figures", "figures/key.png")),
    ],
)
def test_a_link_that_leads_out_is_refused(hostile, refused, canary, reader, link):
    secret = canary.parent / "secret"
    secret.write_text("secret")
    (hostile / link).unlink(missing_ok=True)
    (hostile / link).parent.mkdir(exist_ok=True)
    (hostile / link).symlink_to(canary.parent if link == "figures" else secret)
    assert "is a link that leads out" in refused(READERS[reader], hostile)
    assert secret.read_text() == "secret"


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", ["results.json", "metrics.csv", "checkpoints/last.ckpt"])
def test_a_pipe_that_nobody_writes_to_is_not_waited_for(hostile, refused, reader, name):
    (hostile / name).unlink()
    os.mkfifo(hostile / name)
    assert refused(READERS[reader], hostile) == f"{hostile / name}: is neither a file nor a folder: take it out"


def test_a_model_that_does_not_fit_into_the_memory_is_one_line(hostile, refused):
    put(config_of(hostile), "architecture.latent_dim", 10**15)
    assert refused(READERS["load_run"], hostile).startswith("Out of memory: ")


def test_a_stored_value_in_a_message_is_one_line(hostile, refused):
    put(config_of(hostile), "architecture.latent_dim", "2\n\x1b[2J")
    message = refused(READERS["load_run"], hostile)
    assert "architecture.latent_dim=2\\n\\x1b[2J: is not allowed" in message


@pytest.mark.parametrize("reader", ["load_run", "resume"])
@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda weights, name: weights.pop(name), "is missing"),
        (
            lambda weights, name: weights.update({"architecture.\x1b[2J\n": torch.ones(1)}),
            "\\n' is not in the model",
        ),
        (lambda weights, name: weights.update({name: torch.ones(3)}), "is [3] there and [4, 784] by the config"),
        (lambda weights, name: weights.update({name: 3}), "is no dense tensor there"),
    ],
    ids=["missing", "odd", "size", "number"],
)
def test_weights_that_do_not_fit_are_named_in_one_line(hostile, refused, reader, change, fault):
    file = hostile / "checkpoints" / "last.ckpt"
    checkpoint = torch.load(file, weights_only=True)
    change(checkpoint["state_dict"], next(iter(checkpoint["state_dict"])))
    torch.save(checkpoint, file)
    message = refused(READERS[reader], hostile)
    assert "last.ckpt: does not fit the run's config: " in message
    assert fault in message


@pytest.mark.usefixtures("canary")
@pytest.mark.parametrize("identity", ["../../canary", "", "x\nrun"])
def test_the_id_of_a_wandb_run_is_an_id_or_a_new_one_is_made(clean, hostile, monkeypatch, identity):
    (hostile / "wandb").mkdir()
    (hostile / "wandb" / "id").write_text(identity)
    program(monkeypatch, f"resume={hostile}", "samples=300", "logger=wandb")
    assert re.fullmatch("[a-z0-9]+", (hostile / "wandb" / "id").read_text())


EVIL = "<img src=x onerror=alert(1)>](http://x)|\x1b]0;x\x07\n# head"


def test_tables_and_pages_show_what_is_stored_as_text(hostile_sweep, monkeypatch):
    job = hostile_sweep / "0"
    words_of(job).write_text(yaml.safe_dump(["seed=0", f"architecture.latent_dim=={EVIL}", "=1+1|x=3"]))
    shutil.copytree(job, hostile_sweep / "1")
    words_of(hostile_sweep / "1").write_text(yaml.safe_dump(["seed=1", "architecture.latent_dim=-2.5"]))
    results = json.loads((job / "results.json").read_text())
    (job / "results.json").write_text(json.dumps(results | {"device": EVIL, "error": EVIL, "network": EVIL}))
    main_of(report)(monkeypatch, hostile_sweep)
    table = (hostile_sweep / "sweep.md").read_text()
    assert "\x1b" not in table
    assert "<" not in table
    assert "](" not in table
    assert "\n# head" not in table
    cells = (hostile_sweep / "sweep.csv").read_text()
    assert ",-2.5," in cells
    assert "'=<img" in cells
    page = (hostile_sweep / "report.html").read_text()
    assert "<img src=x" not in page
    assert EVIL in str(report_data(hostile_sweep)["origin"])


def test_a_page_may_run_its_own_script_alone_and_ask_nothing_of_a_network(clean):
    page = (clean / "report.html").read_text()
    policy = page.partition('http-equiv="Content-Security-Policy"')[2].partition(">")[0]
    assert "default-src 'none'" in policy
    assert "script-src 'sha256-" in policy
    assert "script-src 'unsafe-inline'" not in policy
    assert "http:" not in policy
    assert "base-uri 'none'" in policy


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
        "trainer",
        "hydra.launcher",
        "hydra.sweeper",
        "hydra.sweeper.sampler",
    }
    assert packaged().keys() == places
