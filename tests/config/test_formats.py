"""Run directories of earlier versions: what was written under other names is read."""

import pytest
import torch
import yaml

import vae_exp
from vae_exp.cli import report
from vae_exp.config.formats import (
    FORMAT,
    RENAMED_TARGETS,
    choices_in_current_format,
    in_current_format,
    renamed_override,
)
from vae_exp.config.trust import packaged_targets
from vae_exp.results.checkpoint import STATE
from vae_exp.training.checkpoint_io import AtomicCheckpointIO

QUICK = [
    "samples=200",
    "network.hidden_sizes=[4]",
    "architecture.latent_dim=2",
    "logger=none",
    "dataset.train_size=200",
]
QUICK += ["dataset.train_size=200", "callbacks.evaluate.decades=0.1", "callbacks.figures=null"]
pytestmark = pytest.mark.usefixtures("few_digits")


def in_format_1(text):
    for old, new in RENAMED_TARGETS.items():
        if not old.startswith("vae_exp.training."):  # these names are of format 2
            text = text.replace(new, old)
    return text


def rewrite_checkpoint(path, change):
    checkpoint = torch.load(path, weights_only=True)
    change(checkpoint)
    AtomicCheckpointIO().save_checkpoint(checkpoint, path)


def make_old(directory):
    """Rewrite a run as version 0.1 wrote it."""

    def change(checkpoint):
        del checkpoint[STATE]["format"]
        config = yaml.safe_load(in_format_1(checkpoint[STATE]["config"]))
        del config["prior"], config["posterior"]  # the groups came later
        checkpoint[STATE]["config"] = yaml.safe_dump(config)
        loop = checkpoint["callbacks"].pop("vae_exp.Loop")  # its parts were callbacks with states of their own
        checkpoint["callbacks"]["Evaluate"] = {"evaluation_seconds": loop["evaluation_seconds"]}
        checkpoint["callbacks"]["Checkpoint"] = {"best": loop["best"]}

    file = directory / ".hydra" / "config.yaml"
    config = yaml.safe_load(in_format_1(file.read_text()))
    file.write_text(yaml.safe_dump({key: value for key, value in config.items() if key not in ("prior", "posterior")}))
    assert "vae_exp.trainer.Trainer" in file.read_text()
    for checkpoint in (directory / "checkpoints").glob("*.ckpt"):
        rewrite_checkpoint(checkpoint, change)


def test_new_names_are_those_of_the_packaged_parts():
    ours = frozenset().union(*packaged_targets().values())
    assert set(RENAMED_TARGETS.values()) <= ours
    assert not set(RENAMED_TARGETS) & ours


def test_only_targets_are_renamed():
    old = "vae_exp.logger.WandB"
    node = {"logger": {"a": {"_target_": old}}, "name": old, "list": [{"_target_": old}]}
    new = {"_target_": RENAMED_TARGETS[old]}
    assert in_current_format(node) == {"logger": {"a": new}, "name": old, "list": [new]}
    assert renamed_override(f"+logger.a._target_={old}") == f"+logger.a._target_={RENAMED_TARGETS[old]}"
    assert renamed_override(f"name={old}") == f"name={old}"


def test_a_variational_model_from_before_the_groups_has_the_standard_prior_and_the_diagonal_posterior():
    vae, objective = {"_target_": "vae_exp.architecture.VAE"}, {"_target_": "vae_exp.objective.IWAE"}
    old = {"architecture": vae, "objective": objective}
    new = in_current_format(old)
    assert new["prior"] == {"_target_": "vae_exp.prior.standard.StandardNormal"}
    assert new["posterior"] == {"_target_": "vae_exp.posterior.diagonal.Diagonal"}
    assert in_current_format(new | {"prior": {"_target_": "x"}})["prior"] == {"_target_": "x"}
    assert "prior" not in in_current_format({"architecture": {"_target_": "vae_exp.architecture.AE"}})
    chosen = {"architecture": "cvae", "objective": "iwae", "seed": 1}
    assert choices_in_current_format(chosen) == chosen | {"prior": "standard", "posterior": "diagonal"}
    assert choices_in_current_format({"architecture": "ae", "objective": None}) == {
        "architecture": "ae",
        "objective": None,
    }


def best_of(outcome):
    last = torch.load(outcome.directory / "checkpoints" / "last.ckpt", weights_only=True)
    return last["callbacks"]["vae_exp.Loop"]["best"]


def test_a_run_with_the_first_names_of_the_loggers_in_format_2_is_resumed(run):
    """Both loggers were first in one module."""
    outcome = run(*QUICK, "logger=many")
    assert outcome.status == 0, outcome.err

    def in_one_module(text):
        return text.replace(".wandb.WandB", ".WandB").replace(".tensorboard.TensorBoard", ".TensorBoard")

    file = outcome.directory / ".hydra" / "config.yaml"
    file.write_text(in_one_module(file.read_text()))
    assert "vae_exp.training.loggers.WandB" in file.read_text()
    for path in (outcome.directory / "checkpoints").glob("*.ckpt"):
        rewrite_checkpoint(path, lambda saved: saved[STATE].update(config=in_one_module(saved[STATE]["config"])))
    assert vae_exp.load_run(outcome.directory).model.latent_dim == 2
    resumed = run(f"resume={outcome.directory}", "samples=300")
    assert resumed.status == 0, resumed.err
    assert len(list(outcome.directory.glob("wandb/offline-run-*"))) == 2


def test_a_run_of_format_1_is_loaded_resumed_started_from_and_reported(run, monkeypatch, capfd):
    whole, outcome = run(*QUICK, "samples=300"), run(*QUICK)
    seconds = outcome.results["evaluation_seconds"]
    make_old(outcome.directory)
    assert vae_exp.load_run(outcome.directory).model.latent_dim == 2
    begun = run(*QUICK, f"start_from={outcome.directory}")
    assert begun.status == 0, begun.err
    monkeypatch.setattr("sys.argv", ["report", str(outcome.directory)])
    report.main()
    assert "report.html" in capfd.readouterr().out
    resumed = run(f"resume={outcome.directory}", "samples=300")
    assert resumed.status == 0, resumed.err
    assert outcome.results["test/bound"] == whole.results["test/bound"]
    assert outcome.results["format"] == FORMAT
    assert outcome.results["evaluation_seconds"] > seconds
    assert best_of(outcome) == best_of(whole)


def test_a_classifier_of_format_1_is_loaded_resumed_and_started_from(run):
    """There a classifier was an autoencoder with architecture.supervised=true."""
    quick = [word for word in QUICK if not word.startswith("samples")] + ["architecture=ae", "head=classifier"]
    whole, outcome = run(*quick, "samples=300"), run(*quick, "samples=200")
    assert outcome.status == 0, outcome.err
    new = vae_exp.load_run(outcome.directory).model

    def supervised(config):
        values = yaml.safe_load(config)
        del values["head"]
        values["architecture"]["supervised"] = True
        return yaml.safe_dump(values)

    file = outcome.directory / ".hydra" / "config.yaml"
    file.write_text(supervised(file.read_text()))
    words = file.with_name("overrides.yaml")
    words.write_text(words.read_text().replace("head=classifier", "architecture.supervised=true"))
    for path in (outcome.directory / "checkpoints").glob("*.ckpt"):
        checkpoint = torch.load(path, weights_only=True)
        state = checkpoint["state_dict"]
        checkpoint["state_dict"] = {name.replace("encoder.", "", 1): value for name, value in state.items()}
        del checkpoint[STATE]["format"]
        checkpoint[STATE]["config"] = supervised(checkpoint[STATE]["config"])
        AtomicCheckpointIO().save_checkpoint(checkpoint, path)

    old = vae_exp.load_run(outcome.directory).model
    assert all(torch.equal(value, old.state_dict()[name]) for name, value in new.state_dict().items())
    begun = run(*quick, "samples=100", f"start_from={outcome.directory}")
    assert begun.status == 0, begun.err
    resumed = run(f"resume={outcome.directory}", "samples=300")
    assert resumed.status == 0, resumed.err
    assert outcome.results["test/error"] == whole.results["test/error"]
    assert outcome.results["head"] == "classifier"


def test_a_run_of_a_later_format_is_refused_in_one_line(run):
    outcome = run(*QUICK)
    rewrite_checkpoint(
        outcome.directory / "checkpoints" / "last.ckpt", lambda checkpoint: checkpoint[STATE].update(format=FORMAT + 1)
    )
    refused = run(f"resume={outcome.directory}", "samples=300")
    assert refused.status == 1
    assert f"has format {FORMAT + 1}, which a later version of vae_exp writes" in refused.err
    assert "Traceback" not in refused.err
