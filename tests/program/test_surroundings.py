"""The installed wheel, where a scheduler, a notebook, an old encoding and a full disk surround it."""

import json
import os
import resource
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from wandb_file import read_wandb

from vae_exp.cli import sample
from vae_exp.results.report.page import SCRIPTS

ROOT = Path(__file__).parents[2]
QUICK = ["samples=200", "touch=false", "logger=none", "callbacks.figures=null", "callbacks.evaluate.images=50"]
QUICK += ["network.hidden_sizes=[8]", "architecture.latent_dim=2", "trainer.compile=false"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=ROOT, check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def test_the_wheel_is_whole(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert "vae_exp/conf/config.yaml" in names
    files = ["page.html", "page.css", *(f"{script}.js" for script in SCRIPTS)]
    assert {f"vae_exp/results/report/{file}" for file in files} <= set(names)
    assert {"hydra_plugins/vae_exp_grid.py", "hydra_plugins/vae_exp_ray.py"} <= set(names)
    assert "vae_exp/dataset/mnist_files/train-images-idx3-ubyte.xz" in names
    assert "vae_exp/dataset/mnist_files/LICENSE.md" in names
    assert not [name for name in names if name.endswith(".mat")]


@pytest.fixture(scope="module")
def in_a_hostile_place(wheel, tmp_path_factory):
    """The installed wheel, as a task of a scheduler, from a notebook, with ASCII output to a full disk."""
    directory = tmp_path_factory.mktemp("hostile")
    site = tmp_path_factory.mktemp("site")
    zipfile.ZipFile(wheel).extractall(site)  # as pip installs it, without the seconds that pip takes
    environment = {
        "PYTHONPATH": str(site),
        "VAE_EXP_CACHE": str(directory / "cache"),
        "SLURM_PROCID": "1",
        "RANK": "1",
        "LOCAL_RANK": "1",
        "MPLBACKEND": "module://no_such_package.backend_inline",
        "PYTHONIOENCODING": "ascii",
    }
    words = [
        *QUICK,
        "logger=many",
        "hydra/job_logging=colorlog",
        "hydra.job.name=a/b",
        f"hydra.run.dir={directory}/run",
    ]
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-P", "-m", "vae_exp", *words]
        ended = subprocess.run(
            command, cwd=directory, env=os.environ | environment, stdout=full, stderr=subprocess.PIPE
        )
    return ended, directory / "run"


@pytest.mark.slow
def test_a_run_ends_well_in_a_hostile_place(in_a_hostile_place):
    ended, directory = in_a_hostile_place
    assert (ended.returncode, ended.stderr) == (0, b"")
    results = json.loads((directory / "results.json").read_text())
    assert (results["status"], results["git_revision"]) == ("completed", None)  # the wheel ran, not the checkout
    assert (directory / "report.html").exists()
    said = (directory / "vae_exp.log").read_text()
    assert said.count("standard output is lost (No space left on device)") == 1
    assert "\x1b" not in said
    assert "test/bound" in said


def test_each_numbered_process_is_a_run_of_its_own_to_the_loggers(in_a_hostile_place):
    _, directory = in_a_hostile_place
    (logged,) = read_wandb(directory)
    assert any("test/bound" in row for row in logged.history)
    assert next(directory.glob("tensorboard/events.*")).stat().st_size > 1000


@pytest.mark.usefixtures("few_digits")
def test_samples_are_drawn_with_any_backend(in_a_hostile_place, monkeypatch, capfd):
    monkeypatch.setenv("MPLBACKEND", "module://no_such_package.backend_inline")
    monkeypatch.setattr(sys, "argv", ["sample", f"run={in_a_hostile_place[1]}", "n=4"])
    sample.main()
    assert os.environ["MPLBACKEND"] == "agg"
    assert "samples_4.png" in capfd.readouterr().out


@pytest.mark.usefixtures("few_digits")
def test_a_file_that_may_not_grow_is_named_as_a_full_disk_is(run):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        outcome = run(*QUICK)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert outcome.status == 1
    assert "File too large (the output goes to hydra.run.dir=…)" in outcome.err
    assert "Traceback" not in outcome.err
    assert outcome.results["status"] == "failed"
    assert not list(outcome.directory.rglob("*.part"))
