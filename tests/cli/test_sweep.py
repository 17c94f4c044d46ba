"""Sweeps from the command line: their directories, what ends them, and how they go on."""

import json
import os
import shutil
import signal

import pytest
from small_sweep import QUICK
from tables import table

from vae_exp.results.sweep_directory import SweepDirectory
from vae_exp.training.loop import Loop

pytestmark = pytest.mark.usefixtures("few_digits")


def test_a_sweep_of_no_named_experiment_has_a_directory_of_its_own(run, tmp_path):
    quick = [word for word in QUICK if not word.startswith("hydra")]
    outcome = run("-m", "architecture=ae", "dataset=kmnist", "architecture.latent_dim=2,3", *quick)
    assert outcome.status == 0, outcome.err
    assert len(list(tmp_path.glob("multirun/kmnist_ae/*/sweep.csv"))) == 1


def test_a_fault_in_the_table_does_not_hide_what_ended_the_sweep(run, directory, monkeypatch):
    monkeypatch.setattr("vae_exp.cli.sweep.write_sweep", lambda path: 1 / 0)
    outcome = run("-m", "dataset.train_size=99999,50", *QUICK)
    assert outcome.status == 1
    assert "dataset.train_size=99999" in outcome.err


class TestResume:
    @pytest.fixture
    def begun(self, run, directory, tmp_path_factory):
        """A sweep of four jobs: one failed, one was not reached, one killed in the middle; made once."""
        made = tmp_path_factory.getbasetemp() / "begun"
        if made.exists():
            shutil.copytree(made, directory)
        else:
            assert run("-m", "architecture.latent_dim=2,3", "seed=0,1", *QUICK).status == 0
            (directory / "1" / "results.json").unlink()
            shutil.rmtree(directory / "2")
            results = json.loads((directory / "3" / "results.json").read_text())
            (directory / "3" / "results.json").write_text(json.dumps(results | {"status": "failed"}))
            shutil.copytree(directory, made)
        return {path: path.read_bytes() for path in directory.glob("*/results.json")}

    def test_runs_what_is_not_completed_under_its_own_numbers(self, run, directory, begun):
        outcome = run("sweep.resume=sweep")
        assert outcome.status == 0, outcome.err
        assert "1 of 4 jobs are completed; left: 1, 2, 3" in outcome.out
        assert (directory / "0" / "results.json").read_bytes() == begun[directory / "0" / "results.json"]
        rows = table(directory)
        assert [(row["job"], row["architecture.latent_dim"], row["seed"], row["status"]) for row in rows] == [
            ("0", "2", "0", "completed"),
            ("1", "2", "1", "completed"),
            ("2", "3", "0", "completed"),
            ("3", "3", "1", "completed"),
        ]
        for words in (
            ["sweep.resume=sweep"],
            ["-m", "seed=0,1", "architecture.latent_dim=2,3", "sweep.resume=sweep"],  # in another order
            ["-m", "architecture.latent_dim=2,3", "seed=0,1", *QUICK],  # the directory named again
        ):
            again = run(*words)
            assert again.status == 0, again.err
            assert "4 of 4 jobs are completed; left: none" in again.out

    def test_the_numbers_are_those_of_a_sweep_never_stopped(self, run, tmp_path, monkeypatch):
        words = ["-m", "seed=0,1,2", *(word for word in QUICK if "sweep.dir" not in word)]
        assert run(*words, "hydra.sweep.dir=whole").status == 0
        with monkeypatch.context() as patch:
            patch.setattr("vae_exp.training.loop.Loop.on_train_batch_end", interrupt_second_seed)
            outcome = run(*words, "hydra.sweep.dir=stopped")
        assert outcome.status == 130
        assert "python -m vae_exp -m sweep.resume=stopped" in outcome.err
        assert len(table(tmp_path / "stopped")) == 2
        assert run("sweep.resume=stopped").status == 0
        names = ("seed", "status", "test/bound", "train/kl", "samples")
        whole, stopped = ([[row[name] for name in names] for row in table(tmp_path / d)] for d in ("whole", "stopped"))
        assert whole == stopped

    def test_refuses_what_is_not_this_sweep(self, run, begun, directory):
        for words, told in (
            (["sweep.resume=swoop"], "sweep.resume=swoop: is not the directory of a sweep"),
            (["sweep.resume=swoop"], "Did you mean sweep?"),
            (["sweep.resume=sweep/0"], "It is a run: resume=sweep/0"),
            (["resume=sweep"], "It is the directory of a sweep: name one of its jobs"),
            (["-m", "sweep.resume="], "sweep.resume=: a value is needed, and this one is empty"),
            (["sweep.resum=sweep"], "sweep.resum: no such key. Did you mean sweep.resume?"),
            (["sweep.resume=sweep", "hydra.sweep.dir=other"], "hydra.sweep.dir: a resumed sweep stays where it is"),
            (["sweep.resume=sweep", "seed=0,2"], "belongs to another sweep: its job 1 is architecture.latent_dim=2"),
            (["sweep.resume=sweep", "seed=0,1,2"], "belongs to another sweep: it has 4 jobs, not 6"),
            (["-m", *QUICK, "samples=100"], "belongs to another sweep"),
        ):
            outcome = run(*words)
            assert outcome.status == 1
            assert told in outcome.err
        with SweepDirectory(directory).locked():
            outcome = run("sweep.resume=sweep")
        assert outcome.status == 1
        assert "another process is in this sweep" in outcome.err
        assert {path: path.read_bytes() for path in directory.glob("*/results.json")} == begun


def interrupt_second_seed(loop, trainer, experiment, *others, proceed=Loop.on_train_batch_end):
    if experiment.seed == 1:
        os.kill(os.getpid(), signal.SIGINT)
    proceed(loop, trainer, experiment, *others)


def test_every_failure_is_told_with_its_overrides(run, directory):
    outcome = run("-m", "dataset.train_size=99999,50,88888", *QUICK)
    assert outcome.status == 1
    assert "2 of 3 jobs failed" in outcome.err
    for job, size in ((0, 99999), (2, 88888)):
        assert f"job {job} (dataset.train_size={size} samples=300 " in outcome.err
        assert f"[dataset.train_size={size} samples=300 " in (directory / str(job) / "vae_exp.log").read_text()


def test_two_sweeps_of_the_same_second_have_directories_of_their_own(run, tmp_path):
    quick = [word for word in QUICK if "sweep.dir" not in word]
    for _ in range(2):
        assert run("-m", "seed=-1", *quick).status == 1
    assert len(list(tmp_path.glob("multirun/mnist_vae/*/sweep.csv"))) == 2
