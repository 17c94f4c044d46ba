"""The same sweep by every launcher: the same numbers; what fails fails alone, and the sweep can be resumed."""

import json
import os
import shutil
import signal
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from small_sweep import SMALL, numbers
from tables import table

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="the extra ray is not installed")
needs_joblib = pytest.mark.skipif(find_spec("joblib") is None, reason="the extra joblib is not installed")
needs_submitit = pytest.mark.skipif(find_spec("submitit") is None, reason="the extra slurm is not installed")

HELPERS = Path(__file__).parents[1] / "helpers"
ON_RAY = ["hydra/launcher=ray", "+hydra.launcher.init.num_cpus=2"]
HALF_A_GPU = [
    "+hydra.launcher.init.num_gpus=2",
    "hydra.launcher.num_gpus_per_job=0.5",
    "hydra.launcher.num_cpus_per_job=0.5",
]


@pytest.mark.slow
@needs_ray
def test_on_ray_a_job_that_raises_and_one_that_is_killed_fail_alone_and_are_resumed(
    run, tmp_path, one_thread, monkeypatch
):
    """On a node that says it has two GPUs: two of the jobs, which have half a GPU each, share one."""
    monkeypatch.delenv("OMP_NUM_THREADS")  # the launcher chooses
    marks = tmp_path / "marks"
    marks.mkdir()
    shutil.copy(HELPERS / "in_a_job.py", tmp_path / "parts_beside_me.py")  # the jobs find it in the current folder
    fault = f"+callbacks.fault={{_target_:parts_beside_me.fault,marks:'{marks}',raises:0,kills:1}}"
    words = ["seed=range(3)", *SMALL, fault, *HALF_A_GPU, "hydra.sweep.dir=sweep"]
    outcome = run("-m", *ON_RAY, *words)
    out, err = outcome.out, outcome.err
    assert outcome.status == 1, err
    seen = [json.loads((marks / f"{seed}.json").read_text()) for seed in range(3)]
    assert sorted(job["CUDA_VISIBLE_DEVICES"] for job in seen) == ["0", "0", "1"]
    assert [job["OMP_NUM_THREADS"] for job in seen] == ["1", "1", "1"]
    rows = table(tmp_path / "sweep")
    failed = {row["job"]: row["error"] for row in rows if row["status"] == "failed"}
    assert list(failed) == ["0", "1"]
    assert (rows[2]["status"], rows[2]["samples"]) == ("completed", "300")
    assert "the disk is full" in failed["0"]
    assert "its process was killed" in failed["1"]
    assert (rows[0]["samples"], rows[1]["samples"]) == ("200", "200")
    assert len([line for line in out.splitlines() if " left, after " in line]) == 3
    assert "2 of 3 jobs failed" in err
    for seed in (0, 1):
        assert f"job {seed} (seed={seed} architecture.latent_dim=2 " in err
    before = {path: path.read_bytes() for path in tmp_path.glob("sweep/*/results.json")}

    # Ray's words are those of the sweep, what is typed goes before
    resumed = run("-m", "sweep.resume=sweep", "hydra/launcher=basic", "trust=parts_beside_me")
    assert resumed.status == 0, resumed.err
    assert "1 of 3 jobs are completed; left: 0, 1" in resumed.out
    after = {path: path.read_bytes() for path in tmp_path.glob("sweep/*/results.json")}
    assert {path.parent.name for path in after if after[path] != before[path]} == {"0", "1"}
    whole = run("-m", "seed=range(3)", *SMALL, "hydra.sweep.dir=whole")
    assert whole.status == 0
    assert numbers(tmp_path / "sweep") == numbers(tmp_path / "whole")
    assert [row["seed"] for row in table(tmp_path / "sweep")] == [str(seed) for seed in range(3)]


@pytest.mark.slow
@needs_joblib
@needs_submitit
def test_the_published_launchers_give_the_same_numbers(run, tmp_path, one_thread, monkeypatch):
    """Joblib and submitit have processes for their jobs, so they get only the good one: each imports all anew."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    words = ["-m", *SMALL]
    outcome = run(*words, "seed=0,-1", "hydra/launcher=basic", "hydra.sweep.dir=basic")
    assert outcome.status == 1
    assert "1 of 2 jobs failed" in outcome.err
    assert f"job 1 ({' '.join(SMALL)} seed=-1 " in outcome.err
    assert "): seed=-1: is not allowed" in outcome.err
    assert [row["status"] for row in table(tmp_path / "basic")] == ["completed", "failed"]
    for launcher, *keys in (["joblib", "hydra.launcher.n_jobs=2"], ["submitit_local"]):
        outcome = run(*words, "seed=0", f"hydra/launcher={launcher}", *keys, f"hydra.sweep.dir={launcher}")
        assert outcome.status == 0, outcome.err
        (row,) = numbers(tmp_path / launcher)
        assert row | {"seed": "0"} == numbers(tmp_path / "basic")[0]  # one job alone has no column for its seed


@pytest.mark.slow
@needs_ray
def test_ctrl_c_saves_the_jobs_on_ray_and_ends_the_sweep(run, tmp_path):
    words = [*SMALL, "samples=100000000", "trainer.compile=false", "seed=range(2)", "hydra.sweep.dir=sweep"]
    one_at_a_time = ["hydra/launcher=ray", "+hydra.launcher.init.num_cpus=1"]

    def press():
        while not list(tmp_path.glob("sweep/*/checkpoints/last.ckpt")):
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press, daemon=True)
    thread.start()
    outcome = run("-m", *one_at_a_time, *words)
    assert outcome.status == 128 + signal.SIGINT, outcome.err
    assert "python -m vae_exp -m sweep.resume=sweep" in outcome.err
    assert [row["status"] for row in table(tmp_path / "sweep")] == ["interrupted"]


@needs_ray
class TestRefused:
    @pytest.fixture
    def nodes(self, monkeypatch):
        """A cluster, without the seconds that one takes to start."""
        import ray

        monkeypatch.setattr(ray, "init", lambda *_, **__: None)
        for_all = {"Alive": True, "Resources": {"CPU": 8.0, "GPU": 2.0}}
        monkeypatch.setattr(ray, "nodes", lambda: [for_all, {"Alive": False, "Resources": {"CPU": 99.0, "GPU": 99.0}}])

    @pytest.mark.parametrize(
        ("word", "told"),
        [
            ("num_gpus_per_job=3", "hydra.launcher.num_gpus_per_job=3: no node offers these resources"),
            ("num_cpus_per_job=9", "8 CPUs and 2 GPUs"),
            ("num_gpus_per_job=1.5", "a fraction of one, or whole ones"),
            ("num_gpus_per_job=-1", "hydra.launcher.num_gpus_per_job=-1: is not allowed"),
            ("num_gpus_per_job=two", "hydra.launcher.num_gpus_per_job=two: is not allowed"),
            ("num_gpu_per_job=1", "Did you mean hydra.launcher.num_gpus_per_job?"),
        ],
    )
    def test_what_no_node_has(self, run, nodes, tmp_path, word, told):
        outcome = run("-m", "seed=0,1", "hydra/launcher=ray", f"hydra.launcher.{word}", "hydra.sweep.dir=sweep")
        assert outcome.status == 1
        assert told in outcome.err
        assert not (tmp_path / "sweep").exists()

    @pytest.mark.filterwarnings("ignore:Tip. In future versions of Ray:FutureWarning")
    def test_a_cluster_that_is_not_there(self, run, tmp_path, monkeypatch):
        monkeypatch.delenv("RAY_ADDRESS", raising=False)
        outcome = run("-m", "seed=0,1", "hydra/launcher=ray", "hydra.launcher.address=auto", "hydra.sweep.dir=sweep")
        assert outcome.status == 1
        assert "hydra.launcher.address=auto: Ray does not start" in outcome.err


def test_the_nearest_launcher_is_named(run):
    outcome = run("-m", "seed=0,1", "hydra/launcher=rey")
    assert outcome.status == 1
    assert "Did you mean hydra/launcher=ray?" in outcome.err


def test_an_extra_that_is_missing_is_named(run, monkeypatch):
    Plugins.instance()
    group = ConfigStore.instance().repo["hydra"]["launcher"]
    monkeypatch.setitem(ConfigStore.instance().repo["hydra"], "launcher", {"basic.yaml": group["basic.yaml"]})
    monkeypatch.setattr(sys.modules["hydra_plugins.vae_exp_ray"], "find_spec", lambda _: None)
    for launcher, extra in {"ray": "ray", "joblib": "joblib", "submitit_slurm": "slurm"}.items():
        outcome = run("-m", "seed=0,1", f"hydra/launcher={launcher}")
        assert outcome.status == 1
        assert f"hydra/launcher={launcher}: needs the extra {extra}: pip install 'vae_exp[{extra}]'" in outcome.err


@needs_submitit
def test_slurm_is_asked_for_the_gpus_of_each_job(run, tmp_path, monkeypatch):
    """By an sbatch that refuses."""
    for name in ("sbatch", "srun"):
        (tmp_path / name).write_text("#!/bin/sh\necho no such partition >&2\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    words = ["hydra/launcher=submitit_slurm", "hydra.launcher.gpus_per_node=2", "hydra.launcher.partition=fast"]
    outcome = run("-m", "seed=0,1", *words, "hydra.sweep.dir=sweep")
    assert outcome.status == 1
    assert "no such partition" in outcome.err
    assert "sweep.resume=sweep" in outcome.err
    (script,) = (tmp_path / "sweep" / ".submitit").glob("*submission_file*.sh")
    for line in ("--gpus-per-node=2", "--partition=fast", "--array=0-1%2"):
        assert f"#SBATCH {line}\n" in script.read_text()


def test_a_job_of_slurm_with_several_tasks_is_one_run(run, tmp_path, monkeypatch):
    """Lightning would refuse how they were asked for, and advise to begin with srun."""
    (tmp_path / "srun").touch(mode=0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for name, value in {"NTASKS": "4", "JOB_NAME": "books", "JOB_ID": "7", "PROCID": "0", "LOCALID": "0"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    outcome = run(*SMALL)
    assert outcome.status == 0, outcome.err
    monkeypatch.delenv("SLURM_NTASKS")
    assert run(*SMALL).results["test/bound"] == outcome.results["test/bound"]
