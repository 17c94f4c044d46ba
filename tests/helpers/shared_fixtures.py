"""Fixtures: small data sets, and functions that run the program as a user does."""

import gc
import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import omegaconf
import pytest
import torch
from fast_config import remember
from hydra._internal.hydra import Hydra
from hydra.core.hydra_config import HydraConfig
from hypothesis import settings
from images import FREY_FACE, write_idx, write_image
from wandb_server import Server

from vae_exp.config.stored import LOADER
from vae_exp.dataset.base import Splits
from vae_exp.dataset.mnist import MNIST
from vae_exp.results import start
from vae_exp.results.report import try_report
from vae_exp.results.touch import try_touch
from vae_exp.training import results

os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("WANDB_X_SAVE_REQUIREMENTS", "false")  # W&B would read the metadata of all packages for every run
# if a shell runs the tests in the background, they ignore SIGINT, and so would every program that they start
signal.signal(signal.SIGINT, signal.default_int_handler)
settings.register_profile("untimed", deadline=None)  # a slow machine must not fail a test
settings.load_profile("untimed")
TINY = ["network.hidden_sizes=[8]", "logger=none", "callbacks.figures=null", "callbacks.evaluate.decades=0.3"]
omegaconf._utils.get_yaml_loader = lambda: LOADER  # the same with libyaml: Hydra reads many files for every run
remember()
start.git_revision = cache(start.git_revision)  # git would look at every file of the checkout for every run
results.version = cache(results.version)


def pytest_collection_finish() -> None:
    """Exclude the many objects that exist now, such as torch's, from garbage collection, which is slow with them."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder for `paths.data`: FashionMNIST's and KMNIST's formats, image files, arrays, Frey Face."""
    root = tmp_path_factory.mktemp("data")
    generator = torch.Generator().manual_seed(0)
    for name in ("FashionMNIST", "KMNIST"):
        for split, n in (("train", 120), ("t10k", 40)):
            pixels = torch.randint(256, (n, 28, 28), generator=generator)
            write_idx(root / name / "raw" / f"{split}-images-idx3-ubyte", pixels)
            write_idx(root / name / "raw" / f"{split}-labels-idx1-ubyte", torch.arange(n) % 10)
    if (FREY_FACE / "frey_rawface.mat").exists():
        (root / "frey_rawface.mat").symlink_to(FREY_FACE / "frey_rawface.mat")
    for i in range(30):
        write_image(root / "images" / str(i % 10) / f"{i}.png", pixels[i])
    np.savez(root / "images.npz", images=pixels.byte().numpy(), labels=np.arange(len(pixels)) % 10)
    return root


@pytest.fixture(autouse=True)
def never_flushed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turn off fsync: no test cuts the power, and waiting for a busy disk takes longer than everything else."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


LOAD = MNIST.load


@cache
def _few_digits(root: Path) -> Splits:
    splits = LOAD(MNIST(str(root)))
    return Splits(splits.train[:400], splits.test[:100])


@pytest.fixture
def few_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace MNIST by its first images, which are read once, because reading all 70,000 takes long."""
    monkeypatch.setattr(MNIST, "load", lambda self: _few_digits(self.root))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Return the directory of a sweep that `run` makes with `hydra.sweep.dir=sweep`."""
    return tmp_path / "sweep"


@pytest.fixture
def reports() -> None:
    """Let `run` write reports. They take a fifth of a small run, so it writes them only for tests that ask for it."""


@pytest.fixture
def model_pages() -> None:
    """Let `run` write the pages of models, which take as long as reports, only for tests that ask for it."""


GET_MODE = Hydra.get_mode


def no_mode(*_: Any, **__: Any) -> None:
    """Return None as `Hydra.get_mode` does if `hydra.mode` is not set, without composing the config for it."""


@dataclass
class Outcome:
    """The result of a run of the program."""

    status: int
    out: str
    err: str
    directory: Path = field(default_factory=Path)

    @property
    def results(self) -> dict[str, object]:
        results: dict[str, object] = json.loads((self.directory / "results.json").read_text())
        return results


@pytest.fixture
def run(
    tmp_path: Path,
    small_data: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> Callable[..., Outcome]:
    """Return a function that runs `python -m vae_exp …` in this process, so that torch is imported only once."""
    from vae_exp.cli.main import main
    from vae_exp.likelihood import set_validation

    asks_for_reports = "reports" in request.fixturenames
    touch = try_touch if "model_pages" in request.fixturenames else lambda path, load, wanted: None
    monkeypatch.chdir(tmp_path)
    directories = iter(range(1000))

    def call(*arguments: str, directory: Path | None = None, reports: bool = asks_for_reports) -> Outcome:
        directory = directory or tmp_path / f"run{next(directories)}"
        words = ["vae_exp", *arguments, f"paths.data={small_data}"]
        if not any(word.startswith(("resume=", "hydra.run.dir=", "-m")) for word in arguments):
            words.append(f"hydra.run.dir={directory}")
        sets_mode = any(word.startswith("hydra.mode=") for word in arguments)
        monkeypatch.setattr(Hydra, "get_mode", GET_MODE if sets_mode else no_mode)
        monkeypatch.setattr(sys, "argv", words)
        for module in ("vae_exp.training.run", "vae_exp.results.sweep"):
            monkeypatch.setattr(f"{module}.try_report", try_report if reports else lambda path: None)
        monkeypatch.setattr("vae_exp.training.run.try_touch", touch)
        HydraConfig.instance().cfg = None  # as in a new process: an earlier job has set it
        capfd.readouterr()
        status = 0
        try:
            main()
        except SystemExit as end:
            status = int(end.code or 0)
        finally:
            set_validation(True, True)  # a signal may have ended the command at any line
        captured = capfd.readouterr()
        return Outcome(status, captured.out, captured.err, directory)

    return call


@pytest.fixture
def once(run, few_digits, tmp_path, tmp_path_factory):
    """Return a function that trains a run once for all tests, by its name, and gives each test a copy."""

    def call(name: str, *arguments: str) -> Path:
        made = tmp_path_factory.getbasetemp() / name
        if not made.exists():
            outcome = run(*arguments, directory=made, reports=True)
            assert outcome.status == 0, outcome.err
        return shutil.copytree(made, tmp_path / name)

    return call


@pytest.fixture
def trained(once):
    """A copy of a run of 200 samples."""
    return once("trained", "samples=200", *TINY)


@pytest.fixture
def swept(run, few_digits, tmp_path, tmp_path_factory):
    """A copy of a sweep of three jobs, which is made once; the current folder holds it."""
    made = tmp_path_factory.getbasetemp() / "swept"
    if not made.exists():
        assert run("-m", "seed=0,1,2", "samples=200", *TINY, f"hydra.sweep.dir={made}", reports=True).status == 0
    return shutil.copytree(made, tmp_path / "sweep")


@pytest.fixture
def command(monkeypatch, capfd):
    """Another program of the package in this process: its status and its output."""

    def call(module, *arguments):
        monkeypatch.setattr(sys, "argv", ["program", *map(str, arguments)])
        capfd.readouterr()
        status = 0
        try:
            module.main()
        except SystemExit as end:
            status = int(end.code or 0)
        return status, capfd.readouterr()

    return call


@pytest.fixture
def exactly() -> Iterator[None]:
    """Compute in float64, from one seed."""
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def wandb_server() -> Iterator[Server]:
    """Start a stand-in for W&B's server for one test."""
    with Server() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Compute with one thread, as the jobs of the launchers do."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
