"""Mistakes, as a user makes them: one message that names the key, says what is allowed, and a status ≠ 0."""

import json
import shutil

import pytest
from messages import refused

from vae_exp.lock import locked

QUICK = ["samples=200", "logger=none", "callbacks.figures=null"]
pytestmark = pytest.mark.usefixtures("few_digits")


@pytest.mark.parametrize(
    ("override", "words"),
    [
        (
            "architecture.latnet_dim=3",
            ["architecture.latnet_dim: no such key", "mean architecture.latent_dim?", "beta"],
        ),
        ("+architecture.latnet_dim=3", ["architecture.latnet_dim: no such key", "mean architecture.latent_dim?"]),
        ("sampels=100", ["sampels: no such key", "mean samples?"]),
        ("+sampels=100", ["sampels: no such key", "mean samples?"]),
        ("+paths.dat=x", ["paths.dat: no such key", "mean paths.data?"]),
        ("+network.depth=3", ["network.depth: no such key", "hidden_sizes"]),
        ("+architecture.shape=[1,2,3]", ["architecture.shape: no such key"]),
        ("+optimizer.params=3", ["optimizer.params: no such key"]),
        ("+trainer.max_step=3", ["trainer.max_step: no such key"]),
        ("callbacks.evaluate.per_decad=3", ["callbacks.evaluate.per_decad: no such key", "per_decade"]),
        ("architecture.latent_dim=-3", ["architecture.latent_dim=-3", "greater than 0"]),
        ("architecture.latent_dim=two", ["architecture.latent_dim=two", "integer"]),
        ("architecture.beta=-1", ["architecture.beta=-1", "greater than or equal to 0"]),
        ("samples=0", ["samples=0", "greater than 0"]),
        ("seed=-1", ["seed=-1"]),
        ("network.hidden_sizes=[500,0]", ["network.hidden_sizes", "greater than 0"]),
        ("network.activation=tahn", ["network.activation=tahn", "'tanh'"]),
        ("dataset.binarization=maybe", ["dataset.binarization=maybe", "'dynamic'"]),
        ("dataset.train_size=100000", ["dataset.train_size=100000", "400"]),
        ("objective.samples=0", ["objective.samples=0"]),
        ("optimizer.lr=0", ["optimizer.lr=0", "greater than 0"]),
        ("trainer.precision=31", ["trainer.precision=31"]),
        ("trainer.accelerator=abacus", ["trainer", "abacus"]),
        ("trainer.devices=2", ["trainer.devices"]),
        ("trainer.precision=16-mixed", ["trainer.precision=16-mixed", "bf16-mixed"]),
        ("trainer.steps_per_execution=0", ["trainer.steps_per_execution=0", "greater than 0"]),
        ("dataset=mnits", ["dataset=mnits: no such choice", "mean dataset=mnist?", "frey_face"]),
        ("datset=mnist", ["datset: no such key", "mean dataset?"]),
        ("+experiment=mnist_vea", ["experiment=mnist_vea: no such choice", "mean experiment=mnist_vae?"]),
        ("experiment=mnist_vae", ["+experiment="]),
        ("architecture=dae architecture/corruption=masknig", ["no such choice", "architecture/corruption=masking?"]),
        ("architecture=dae architecture.corruption.rate=1", ["architecture.corruption.rate=1", "less than 1"]),
        ("architecture=dae architecture.corruption=gaussian", ["architecture/corruption=gaussian"]),
        ("architecture=ae objective=sgvb_a", ["objective: the chosen parts have no objective"]),
        ("architecture=ae architecture.beta=2", ["architecture.beta: no such key", "latent_dim"]),
        ("likelihood=gaussian likelihood.min_std=0", ["likelihood.min_std=0", "greater than 0"]),
        ("likelihood=gaussian likelihood.variance=free", ["likelihood.variance=free", "'learned'"]),
        ("network=conv network.strides=[1,2]", ["network.strides=[1, 2]", "4"]),
        ("network=conv network.channels=[] network.strides=[]", ["network.channels=[]", "at least 1 item"]),
        ("network=resnet network.groups=5", ["network.groups=5", "network.channels=16", "1, 2, 4, 8, 16"]),
        ("network=resnet network.channels=256", ["network.max_channels=128", "network.channels=256"]),
        ("network=resnet network.blocks_per_stage=0", ["network.blocks_per_stage=0", "greater than 0"]),
        ("network=resnet +network.init_std=0.1", ["network.init_std: no such key"]),
        ("network.tied=true", ["network.tied=true", "architecture=ae"]),
        ("architecture=ae network.tied=true likelihood=gaussian", ["network.tied=true", "likelihood.variance=shared"]),
        ("architecture=ae network=conv +network.tied=true", ["network.tied: no such key"]),
        ("architecture=ae architecture.contraction_std=0", ["architecture.contraction_std=0", "greater than 0"]),
        ("architecture=ae architecture.contraction_samples=0", ["architecture.contraction_samples=0"]),
        ("architecture=ae architecture.higher_order_contraction=-1", ["architecture.higher_order_contraction=-1"]),
        ("likelihood=gaussian likelihood.mean=tanh", ["likelihood.mean=tanh", "'identity'"]),
        ("samples=100 =", ["="]),
        ("++architecture.latnet_dim=3", ["architecture.latnet_dim: no such key"]),
        ("architecture=null", ["architecture=null: a part cannot be null"]),
        ("logger=null", ["logger=null: a part cannot be null", "logger=none"]),
        ("architecture=ae +objective=sgvb_a", ["objective", "without a prior"]),
        ("~objective", ["objective: a value is needed"]),
        ("~optimizer", ["optimizer: a value is needed"]),
        ("~optimizer._target_", ["optimizer=", "_target_"]),
        ("+callbacks.evaluat.decades=1", ["callbacks.evaluat: no such key", "mean callbacks.evaluate?"]),
        ("+callbacks.figure=3", ["callbacks.figure=3"]),
        ("name=[a]", ["name=['a']"]),
        ("optimizer=sgd +optimizer.nesterov=true optimizer.momentum=0", ["optimizer.nesterov", "momentum"]),
        ("+trainer.accumulate_grad_batches=2", ["trainer.accumulate_grad_batches: no such key"]),
        ("+trainer.limit_train_batches=1", ["trainer.limit_train_batches: no such key"]),
        ("+trainer.gradient_clip_val=0", ["trainer.gradient_clip_val=0", "greater than 0"]),
        ("likelihood=gaussian likelihood.variance=fixed likelihood.std=0.001", ["likelihood.std=0.001", "0.01"]),
        ("logger=wandb logger.project=a/b", ["logger: W&B", "a/b"]),
        ("logger=wandb logger.mode=sometimes", ["logger.mode=sometimes", "'offline'"]),
    ],
    ids=str,
)
def test_a_mistake_is_named(run, override, words):
    refused(run(*QUICK, *override.split()), *words)


def test_missing_and_damaged_data(run, tmp_path, small_data, monkeypatch):
    from torchvision import datasets

    monkeypatch.setattr(datasets.KMNIST, "mirrors", ["http://127.0.0.1:9/"])
    refused(run("dataset=kmnist", f"dataset.source.root={tmp_path / 'empty'}", *QUICK), "paths.data", "KMNIST/raw")
    shutil.copytree(small_data / "KMNIST", tmp_path / "cut" / "KMNIST")
    images = tmp_path / "cut" / "KMNIST" / "raw" / "train-images-idx3-ubyte"
    images.write_bytes(images.read_bytes()[:-1])
    refused(run("dataset=kmnist", f"dataset.source.root={tmp_path / 'cut'}", *QUICK), "cut short", "KMNIST/raw")
    (tmp_path / "frey_rawface.mat").write_bytes(b"MATLAB 5.0")
    refused(run("dataset=frey_face", f"dataset.source.root={tmp_path}", *QUICK), "frey_rawface.mat", "cut short")


def test_an_output_folder_that_cannot_be_written(run, tmp_path):
    (tmp_path / "file").write_text("in the way")
    refused(run(*QUICK, f"hydra.run.dir={tmp_path}/file/run"), "hydra.run.dir", str(tmp_path / "file"))


def test_a_directory_that_holds_a_run_is_left_alone(run):
    first = run(*QUICK)
    before = {path: path.read_bytes() for path in first.directory.rglob("*") if path.is_file()}
    second = run("seed=1", *QUICK, directory=first.directory)
    assert second.status == 1
    assert "holds a run already" in second.err
    assert "resume=" in second.err
    assert {path: path.read_bytes() for path in first.directory.rglob("*") if path.is_file()} == before


def test_nor_is_its_record_written_over_by_a_sweep(run, tmp_path):
    sweep = ["-m", *QUICK, f"hydra.sweep.dir={tmp_path / 'sweep'}", "seed=0,1"]
    assert run(*sweep).status == 0
    before = {path: path.read_bytes() for path in (tmp_path / "sweep").rglob("config.yaml")}
    assert len(before) == 2
    again = run(*sweep, "likelihood=gaussian")
    assert again.status == 1
    assert "belongs to another sweep: its job 0 is" in again.err
    assert {path: path.read_bytes() for path in (tmp_path / "sweep").rglob("config.yaml")} == before


def test_a_run_that_failed_before_it_began_can_be_run_anew(run, tmp_path):
    refused(run("dataset.train_size=100000", *QUICK, directory=tmp_path / "again"), "dataset.train_size")
    outcome = run(*QUICK, directory=tmp_path / "again")
    assert (outcome.status, outcome.results["status"]) == (0, "completed")


def test_two_processes_cannot_be_in_one_run(run, tmp_path):
    outcome = run(*QUICK)
    before = (outcome.directory / "results.json").read_bytes()
    with locked(outcome.directory / ".lock", wait=False):
        other = run(f"resume={outcome.directory}", "samples=400")
    assert other.status == 1
    assert "another process is in this run" in other.err
    assert (outcome.directory / "results.json").read_bytes() == before


def test_a_failed_job_does_not_end_a_sweep_and_is_named(run, tmp_path):
    outcome = run("-m", *QUICK, f"hydra.sweep.dir={tmp_path / 'sweep'}", "optimizer.lr=-1,0.02")
    assert outcome.status == 1
    assert f"{tmp_path / 'sweep' / '0'}: optimizer.lr=-1" in outcome.out + outcome.err
    statuses = [json.loads((tmp_path / "sweep" / str(job) / "results.json").read_text())["status"] for job in (0, 1)]
    assert statuses == ["failed", "completed"]
