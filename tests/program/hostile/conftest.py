"""A sweep that has run, copies to be poisoned, and what tells whether anything of them ran."""

import pickle
import shutil
import sys
from pathlib import Path

import pytest
import torch
from sent import QUICK, Touch

from vae_exp.cli.main import main
from vae_exp.dataset.base import Splits
from vae_exp.dataset.mnist import MNIST
from vae_exp.errors import RunError


@pytest.fixture(scope="session")
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


@pytest.fixture
def hostile(clean, canary, tmp_path):
    """A copy of the job, to be poisoned."""
    return Path(shutil.copytree(clean / "0", tmp_path / "sent"))


@pytest.fixture
def hostile_sweep(clean, canary, tmp_path):
    return Path(shutil.copytree(clean, tmp_path / "sent_sweep"))


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
