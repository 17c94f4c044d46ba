"""`hydra/launcher=ensemble`: every job has the numbers of the job alone; what fails fails alone; a sweep can go on."""

import json
import os
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest
import torch
from small_sweep import SMALL
from tables import table

from vae_exp.results.metrics import read_metrics
from vae_exp.training.engine import choice, compiled, ensemble
from vae_exp.training.engine.captured import why_not_captured

HELPERS = Path(__file__).parents[1] / "helpers"
ENSEMBLE = ["-m", "hydra/launcher=ensemble"]
TOGETHER = [*SMALL, "dataset.batch_size=20", "callbacks.evaluate.decades=0.5"]
pytestmark = pytest.mark.usefixtures("few_digits")


def checkpoint(job):
    return torch.load(job / "checkpoints" / "last.ckpt", weights_only=True)


def engines(sweep):
    return [json.loads((job / "results.json").read_text())["engine"] for job in jobs_of(sweep)]


def jobs_of(sweep):
    return sorted(path.parent for path in sweep.glob("*/results.json"))


def flat(state):
    """The tensors of an optimizer's state, by the number of the parameter and their name."""
    return {(i, name): value for i, each in state.items() for name, value in each.items() if torch.is_tensor(value)}


def check_same(job, alone):
    """Compare the weights, the optimizer, the metrics and the next random number with those of the job alone."""
    ours, theirs = checkpoint(job), checkpoint(alone)
    assert torch.equal(ours["vae_exp"]["generator"], theirs["vae_exp"]["generator"])
    states = [each["optimizer_states"][0]["state"] for each in (ours, theirs)]
    tensors = [{**each["state_dict"], **flat(state)} for each, state in zip((ours, theirs), states, strict=True)]
    for name, tensor in tensors[1].items():
        assert (tensors[0][name] - tensor).norm() <= 1e-3 * tensor.norm(), name
    for row, expected in zip(*(read_metrics(each / "metrics.csv") for each in (job, alone)), strict=True):
        values = {name: value for name, value in expected.items() if name.startswith(("train/", "test/"))}
        assert {name: row[name] for name in values} == pytest.approx(values, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(
    "choices",
    [
        ["optimizer.lr=0.01,0.02", "architecture.beta=0.5,1", "samples=310"],
        ["architecture=dae", "architecture.corruption.rate=0.1,0.3", "optimizer=adam", "+trainer.gradient_clip_val=50"],
        ["seed=0,1", "objective=iwae", "objective.samples=3", "dataset.binarization=dynamic", "scheduler=cosine"],
        ["likelihood=gaussian", "likelihood.min_std=0.5,2.0", "weight_prior=2", "optimizer=sgd"],
        ["architecture=m2", "dataset.labels=20", "architecture.labelled_per_batch=2", "seed=0,1", "samples=160"],
        ["architecture=aae", "seed=0,1"],
        ["architecture=cvae", "seed=0,1", "samples=160"],
    ],
    ids=lambda choices: choices[0],
)
def test_the_numbers_of_a_member_are_those_of_the_job_alone(run, tmp_path, one_thread, choices):
    words = [*TOGETHER, *choices]
    outcome = run(*ENSEMBLE, *words, "hydra.sweep.dir=together")
    assert outcome.status == 0, outcome.err
    assert run("-m", *words, "hydra.sweep.dir=alone").status == 0
    jobs = jobs_of(tmp_path / "together")
    assert engines(tmp_path / "together") == [f"ensemble of {len(jobs)}"] * len(jobs)
    for job in jobs:
        check_same(job, tmp_path / "alone" / job.name)
    weights = [checkpoint(job)["state_dict"]["architecture.decoder.layers.0.weight"] for job in jobs[:2]]
    assert not torch.equal(*weights)
    sizes = [(tmp_path / sweep / "0" / "checkpoints" / "last.ckpt").stat().st_size for sweep in ("together", "alone")]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.05)


def test_jobs_of_other_shapes_are_other_ensembles_and_one_that_has_no_partner_trains_alone(run, tmp_path):
    outcome = run(*ENSEMBLE, *TOGETHER, "architecture.latent_dim=2,3", "seed=0,1", "hydra.sweep.dir=sweep")
    assert outcome.status == 0, outcome.err
    assert engines(tmp_path / "sweep") == ["ensemble of 2"] * 4
    assert run(*ENSEMBLE, *TOGETHER, "network.activation=tanh,relu", "hydra.sweep.dir=other").status == 0
    assert engines(tmp_path / "other") == ["eager"] * 2
    assert "alone, not as an ensemble: no other job" in (tmp_path / "other" / "0" / "vae_exp.log").read_text()


@pytest.mark.parametrize(
    ("choice", "reason"),
    [
        ("objective=mcem", "chains"),
        ("dataset.placement=host", "dataset.placement"),
    ],
)
def test_what_cannot_be_in_an_ensemble_trains_alone_and_says_so(run, tmp_path, choice, reason):
    words = [*TOGETHER, "samples=100", "callbacks.evaluate.decades=0.01", "callbacks.evaluate.images=5"]
    outcome = run(*ENSEMBLE, *words, choice, "seed=0,1", "hydra.sweep.dir=sweep")
    assert outcome.status == 0, outcome.err
    assert not any("ensemble" in engine for engine in engines(tmp_path / "sweep"))
    line = "Training alone, not as an ensemble: "
    for job in ("0", "1"):
        (told,) = [text for text in (tmp_path / "sweep" / job / "vae_exp.log").read_text().splitlines() if line in text]
        assert reason in told


def test_a_model_that_vmap_refuses_trains_alone_with_its_own_numbers(run, tmp_path, one_thread):
    words = [*TOGETHER, "architecture=aae", "prior=mixture", "prior.components=3", "seed=0,1"]
    outcome = run(*ENSEMBLE, *words, "dataset.binarization=dynamic", "hydra.sweep.dir=together")
    assert outcome.status == 0, outcome.err
    assert "2 runs train alone, not as an ensemble: vmap: called random operation" in outcome.out
    assert run("-m", *words, "dataset.binarization=dynamic", "hydra.sweep.dir=alone").status == 0
    for job in jobs_of(tmp_path / "together"):
        check_same(job, tmp_path / "alone" / job.name)


@pytest.mark.slow
@pytest.mark.skipif(not compiled.has_compiler(), reason="torch.compile needs a C++ compiler")
def test_a_compiled_ensemble_has_the_numbers_of_the_jobs_alone(run, tmp_path, one_thread):
    words = [*TOGETHER, "seed=0,1", "optimizer.lr=0.01,0.02", "architecture=dae", "optimizer=adam", "samples=310"]
    outcome = run(*ENSEMBLE, *words, "trainer.compile=true", "hydra.sweep.dir=together")
    assert outcome.status == 0, outcome.err
    assert engines(tmp_path / "together") == ["inductor, ensemble of 4"] * 4
    assert run("-m", *words, "hydra.sweep.dir=alone").status == 0
    for job in jobs_of(tmp_path / "together"):
        check_same(job, tmp_path / "alone" / job.name)


@pytest.fixture
def uncompiled(monkeypatch):
    """Let Python run what would be compiled: the step is in the program if the optimizer is SGD."""
    monkeypatch.setattr(compiled, "_compiled", lambda function, generates_code: function)


@pytest.mark.parametrize(
    "choices",
    [
        ["optimizer=sgd", "optimizer.momentum=0.9"],
        ["optimizer=adam", "scheduler=cosine", "+trainer.gradient_clip_val=50"],
    ],
    ids=["with the step", "without"],
)
def test_a_program_for_an_ensemble_leaves_each_job_its_own_state(run, tmp_path, one_thread, uncompiled, choices):
    """A member fails; the others go on without it, and it is resumed alone."""
    marks = tmp_path / "marks"
    marks.mkdir()
    shutil.copy(HELPERS / "in_a_job.py", tmp_path / "parts_of_jobs.py")
    fault = f"+callbacks.fault={{_target_:parts_of_jobs.fault,marks:'{marks}',raises:0,kills:-1}}"
    words = ["seed=range(3)", *TOGETHER, "callbacks.evaluate.per_decade=6", *choices, "trainer.compile=true"]
    assert run(*ENSEMBLE, *words, fault, "hydra.sweep.dir=sweep").status == 1
    assert engines(tmp_path / "sweep")[1:] == ["inductor, ensemble of 2"] * 2
    assert run("-m", "sweep.resume=sweep", "trust=parts_of_jobs").status == 0
    assert run("-m", *words, "trainer.compile=false", "hydra.sweep.dir=alone").status == 0
    for job in range(3):
        check_same(tmp_path / "sweep" / str(job), tmp_path / "alone" / str(job))
    sizes = [(tmp_path / sweep / "1" / "checkpoints" / "last.ckpt").stat().st_size for sweep in ("sweep", "alone")]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.05)


def test_a_member_that_diverges_leaves_the_others_as_they_are(run, tmp_path, one_thread):
    words = [*TOGETHER, "optimizer=sgd", "optimizer.lr=0.001,1e30,0.002"]
    outcome = run(*ENSEMBLE, *words, "hydra.sweep.dir=together")
    assert outcome.status == 1
    assert [row["status"] for row in table(tmp_path / "together")] == ["completed", "diverged", "completed"]
    run("-m", *words, "hydra.sweep.dir=alone")
    for job in ("0", "2"):
        check_same(tmp_path / "together" / job, tmp_path / "alone" / job)
    assert engines(tmp_path / "together")[0] == "ensemble of 2"


def test_a_job_that_raises_fails_alone_and_is_resumed(run, tmp_path, one_thread):
    marks = tmp_path / "marks"
    marks.mkdir()
    shutil.copy(HELPERS / "in_a_job.py", tmp_path / "parts_of_jobs.py")
    fault = f"+callbacks.fault={{_target_:parts_of_jobs.fault,marks:'{marks}',raises:0,kills:-1}}"
    outcome = run(*ENSEMBLE, "seed=range(3)", *TOGETHER, fault, "hydra.sweep.dir=sweep")
    assert outcome.status == 1
    assert "1 of 3 jobs failed" in outcome.err
    assert [row["status"] for row in table(tmp_path / "sweep")] == ["failed", "completed", "completed"]
    lines = [line for line in outcome.out.splitlines() if " left, after " in line]
    assert [f"; {left} left" in line for left, line in zip((2, 1, 0), lines, strict=True)] == [True] * 3
    log = (tmp_path / "sweep" / "1" / "vae_exp.log").read_text()
    assert "the disk is full" in (tmp_path / "sweep" / "0" / "vae_exp.log").read_text()
    assert "the disk is full" not in log
    assert log.count("test/bound") == 1
    completed = (tmp_path / "sweep" / "2" / "results.json").read_bytes()

    resumed = run("-m", "sweep.resume=sweep", "trust=parts_of_jobs")
    assert resumed.status == 0, resumed.err
    assert (tmp_path / "sweep" / "2" / "results.json").read_bytes() == completed
    assert run("-m", "seed=range(3)", *TOGETHER, "hydra.sweep.dir=alone").status == 0
    for job in range(3):
        check_same(tmp_path / "sweep" / str(job), tmp_path / "alone" / str(job))


def test_ctrl_c_lets_all_jobs_save_and_the_sweep_goes_on(run, tmp_path, one_thread):
    def press():
        last = time.monotonic() + 60
        while len(list(tmp_path.glob("sweep/*/metrics.csv"))) < 2 and time.monotonic() < last:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    words = [*TOGETHER, "samples=4000", "callbacks.evaluate.decades=2", "callbacks.evaluate.per_decade=2", "seed=0,1"]
    thread = threading.Thread(target=press)
    thread.start()
    outcome = run(*ENSEMBLE, *words, "hydra.sweep.dir=sweep")
    thread.join()
    assert outcome.status == 128 + signal.SIGINT, outcome.err
    assert "python -m vae_exp -m sweep.resume=sweep" in outcome.err
    assert [row["status"] for row in table(tmp_path / "sweep")] == ["interrupted"] * 2
    seen = {checkpoint(job)["vae_exp"]["samples_seen"] for job in jobs_of(tmp_path / "sweep")}
    assert len(seen) == 1
    assert max(seen) < 4000
    assert run("-m", "sweep.resume=sweep").status == 0
    assert engines(tmp_path / "sweep") == ["ensemble of 2"] * 2
    assert run("-m", *words, "hydra.sweep.dir=alone").status == 0
    for job in ("0", "1"):
        check_same(tmp_path / "sweep" / job, tmp_path / "alone" / job)


@pytest.mark.parametrize("choices", [["optimizer=adam"], ["optimizer=sgd", "trainer.compile=true"]], ids=str)
def test_captured_updates_are_those_of_one_after_another(run, tmp_path, one_thread, monkeypatch, uncompiled, choices):
    """To the last bit, with a stand-in for the CUDA graph."""
    words = [*ENSEMBLE, *TOGETHER, "seed=0,1", "dataset.binarization=dynamic", *choices]
    assert run(*words, "hydra.sweep.dir=plain").status == 0
    graphs = []
    for module in (choice, ensemble):
        monkeypatch.setattr(f"{module.__name__}.UPDATES_PER_GRAPH", 3)
        monkeypatch.setattr(module, "cuda_graph", lambda function, **_: graphs.append(1) or function)
    monkeypatch.setattr("vae_exp.training.engine.partner.UPDATES_PER_GRAPH", 3)
    monkeypatch.setattr(choice, "why_not_captured", lambda _, *parts: why_not_captured(torch.device("cuda"), *parts))
    assert run(*words, "hydra.sweep.dir=captured").status == 0
    assert graphs == [1]
    assert engines(tmp_path / "captured") == [f"CUDA graph, {engines(tmp_path / 'plain')[0]}"] * 2
    for job in ("0", "1"):
        ours, theirs = (checkpoint(tmp_path / sweep / job) for sweep in ("captured", "plain"))
        torch.testing.assert_close(ours["state_dict"], theirs["state_dict"], rtol=0, atol=0)
        states = [[each["optimizer_states"][0]["state"], each["vae_exp"]["generator"]] for each in (ours, theirs)]
        torch.testing.assert_close(*states, rtol=0, atol=0)


def test_every_member_has_a_wandb_run_of_its_own(run, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    words = [*(word for word in TOGETHER if word != "logger=none"), "logger=wandb", "seed=0,1"]
    outcome = run(*ENSEMBLE, *words, "hydra.sweep.dir=sweep")
    assert outcome.status == 0, outcome.err
    assert engines(tmp_path / "sweep") == ["ensemble of 2"] * 2
    for job in ("0", "1"):
        (log,) = (tmp_path / "sweep" / job / "wandb").glob("offline-run-*/*.wandb")
        assert log.read_bytes().count(b"test/bound") > 0


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("hydra.launcher.jobs=0", "hydra.launcher.jobs=0: is not allowed"),
        ("+hydra.launcher.n_jobs=2", "hydra.launcher.n_jobs: no such key. Did you mean hydra.launcher.jobs?"),
    ],
)
@pytest.mark.parametrize("launcher", ["ensemble", "processes"])
def test_what_is_not_allowed_is_refused_in_one_line(run, tmp_path, launcher, word, told):
    outcome = run("-m", f"hydra/launcher={launcher}", "seed=0,1", word, "hydra.sweep.dir=sweep")
    assert outcome.status == 1
    assert told in outcome.err
    assert not (tmp_path / "sweep").exists()


def test_a_run_on_several_devices_is_refused_in_one_line(run, tmp_path):
    words = ["trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu"]
    outcome = run(*ENSEMBLE, *TOGETHER, *words, "seed=0,1", "hydra.sweep.dir=sweep")
    assert outcome.status == 1
    assert "trainer=ddp: an ensemble trains on one device" in outcome.err
