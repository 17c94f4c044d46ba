"""`hydra/launcher=processes`: the numbers of the basic launcher; what fails fails alone; a stopped sweep can go on."""

import json
import multiprocessing
import os
import shutil
import signal
import sys
import threading
import time
from pathlib import Path
from types import ModuleType

import pytest
from in_a_job import kill_myself, surroundings
from program import command_line
from small_sweep import SMALL, numbers
from tables import table

from vae_exp.errors import RunError
from vae_exp.training.forked import Call, cores, run_forked, threads_per_process

HELPERS = Path(__file__).parents[1] / "helpers"
ENDLESS = [*SMALL, "samples=100000000", "trainer.compile=false"]
PROCESSES = ["-m", "hydra/launcher=processes"]
TWO = [*PROCESSES, "hydra.launcher.jobs=2", "hydra.launcher.threads=1"]


def wait_for(found, seconds=60.0):
    last = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < last
        time.sleep(0.05)


@pytest.mark.usefixtures("reports")
def test_a_job_that_raises_and_one_that_is_killed_fail_alone_and_are_resumed(run, tmp_path, one_thread, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS")  # the launcher sets it for the jobs
    marks = tmp_path / "marks"
    marks.mkdir()
    shutil.copy(HELPERS / "in_a_job.py", tmp_path / "parts_of_jobs.py")  # the jobs find it in the current folder
    fault = f"+callbacks.fault={{_target_:parts_of_jobs.fault,marks:'{marks}',raises:0,kills:1}}"
    outcome = run(*TWO, "seed=range(3)", *SMALL, fault, "hydra.sweep.dir=sweep")
    assert outcome.status == 1
    seen = [json.loads((marks / f"{seed}.json").read_text()) for seed in range(3)]
    assert [job["OMP_NUM_THREADS"] for job in seen] == ["1", "1", "1"]
    assert "OMP_NUM_THREADS" not in os.environ
    rows = table(tmp_path / "sweep")
    failed = {row["job"]: row["error"] for row in rows if row["status"] == "failed"}
    assert list(failed) == ["0", "1"]
    assert "the disk is full" in failed["0"]
    assert "its process was killed" in failed["1"]
    assert "SIGKILL" in failed["1"]
    assert (rows[0]["samples"], rows[1]["samples"], rows[2]["samples"]) == ("200", "200", "300")
    lines = [line for line in outcome.out.splitlines() if " left, after " in line]
    assert ["; 2 left" in lines[0], "; 1 left" in lines[1], "; 0 left" in lines[2]] == [True] * 3
    assert sum("(seed=2) completed: -" in line for line in lines) == 1
    assert "815,824 parameters" not in outcome.out
    for job, text in (("0", "the disk is full"), ("2", "test/bound"), ("2", "parameters")):
        assert text in (tmp_path / "sweep" / job / "vae_exp.log").read_text()
    assert "2 of 3 jobs failed" in outcome.err
    completed = (tmp_path / "sweep" / "2" / "results.json").read_bytes()

    resumed = run("-m", "sweep.resume=sweep", "trust=parts_of_jobs")
    assert resumed.status == 0, resumed.err
    assert "1 of 3 jobs are completed; left: 0, 1" in resumed.out
    assert "2 at a time" in resumed.out
    assert (tmp_path / "sweep" / "2" / "results.json").read_bytes() == completed
    assert run("-m", "seed=range(3)", *SMALL, "hydra.sweep.dir=whole").status == 0
    assert numbers(tmp_path / "sweep") == numbers(tmp_path / "whole")
    assert [row["seed"] for row in table(tmp_path / "sweep")] == ["0", "1", "2"]
    assert (tmp_path / "sweep" / "report.html").exists()


def test_ctrl_c_lets_the_running_jobs_save_and_ends_the_sweep(run, tmp_path):
    def press():
        wait_for(lambda: len(list(tmp_path.glob("sweep/*/checkpoints/last.ckpt"))) == 2)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    outcome = run(*TWO, *ENDLESS, "seed=range(3)", "hydra.sweep.dir=sweep")
    thread.join()
    assert outcome.status == 128 + signal.SIGINT
    assert "python -m vae_exp -m sweep.resume=sweep" in outcome.err
    assert [row["status"] for row in table(tmp_path / "sweep")] == ["interrupted"] * 2
    for job in ("0", "1"):
        results = json.loads((tmp_path / "sweep" / job / "results.json").read_text())
        assert "all is saved" in results["error"]
    assert not (tmp_path / "sweep" / "2").exists()


def test_the_jobs_of_a_sweep_that_is_killed_save_and_end(tmp_path):
    sweep = command_line("vae_exp", *TWO, *ENDLESS, "seed=0", "hydra.sweep.dir=sweep", cwd=tmp_path)
    results = tmp_path / "sweep" / "0" / "results.json"
    try:
        wait_for(lambda: sweep.poll() is not None or list(tmp_path.glob("sweep/0/checkpoints/last.ckpt")))
        assert sweep.poll() is None, sweep.communicate()
    finally:
        sweep.kill()
    wait_for(results.exists)
    assert json.loads(results.read_text())["status"] == "interrupted"


def test_a_search_runs_its_jobs_beside_each_other(run, tmp_path, one_thread):
    pytest.importorskip("optuna")
    words = [
        *("-m", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=3", "hydra.sweeper.n_jobs=2"),
        *("optimizer.lr=interval(0.01,0.1)", "dataset.validation_size=50", *SMALL),
    ]
    outcome = run(*words, *TWO, "hydra.sweep.dir=beside")
    assert outcome.status == 0, outcome.err
    assert run(*words, "hydra.sweep.dir=basic").status == 0
    assert len(numbers(tmp_path / "beside")) == 3
    assert numbers(tmp_path / "beside") == numbers(tmp_path / "basic")


def test_a_forked_process_inherits_no_threads_and_has_its_own_number(monkeypatch, tmp_path):
    monkeypatch.setenv("OWN_VARIABLE", "set after the server began")
    found = []
    calls = [Call(surroundings, (), tmp_path / f"{i}.log") for i in range(3)]
    results = run_forked(calls, 2, 3, lambda number, result: found.append(result))
    assert len({result["pid"] for result in results}) == 3
    assert sorted(result["pid"] for result in found) == sorted(result["pid"] for result in results)
    for result in results:
        assert (result["threads"], result["OMP_NUM_THREADS"]) == (3, "3")
        assert result["own variable"] == "set after the server began"
        assert result["threads of the server"] == 1
        assert result["leads a session"]


def test_a_script_is_not_run_again_in_each_process(monkeypatch, tmp_path):
    """Its sweep would start again, unless the script asks whether it is the main module."""
    script = tmp_path / "script.py"
    script.write_text(f"open({str(tmp_path / 'again')!r}, 'w')")
    main = ModuleType("__main__")
    main.__file__ = str(script)
    monkeypatch.setitem(sys.modules, "__main__", main)
    (result,) = run_forked([Call(kill_myself, (), tmp_path / "log")], 1, 1, lambda *_: None)
    assert isinstance(result, RunError)
    assert not (tmp_path / "again").exists()


def test_threads_are_those_asked_for_or_a_share_of_the_cores(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert threads_per_process(1) == cores()
    assert threads_per_process(2 * cores()) == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "3,2")
    assert threads_per_process(1) == threads_per_process(2 * cores()) == 3


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("jobs=0", "hydra.launcher.jobs=0: is not allowed"),
        ("jobs=two", "hydra.launcher.jobs=two: is not allowed"),
        ("threads=-1", "hydra.launcher.threads=-1: is not allowed"),
        ("job=2", "Did you mean hydra.launcher.jobs?"),
    ],
)
def test_what_is_not_allowed_is_refused_in_one_line(run, tmp_path, word, told):
    outcome = run(*PROCESSES, "seed=0,1", f"hydra.launcher.{word}", "hydra.sweep.dir=sweep")
    assert outcome.status == 1
    assert told in outcome.err
    assert not (tmp_path / "sweep").exists()


def test_a_platform_that_cannot_fork_is_refused(run, tmp_path, monkeypatch):
    monkeypatch.setattr(multiprocessing, "get_all_start_methods", lambda: ["spawn"])
    outcome = run(*PROCESSES, "seed=0,1", "hydra.sweep.dir=sweep")
    assert outcome.status == 1
    assert "cannot fork processes. Use hydra/launcher=joblib" in outcome.err
    assert not (tmp_path / "sweep").exists()
