"""Where it runs: lost output, other encodings, foreign backends, numbered ranks, no home, no locks, full disks."""

import errno
import fcntl
import io
import json
import logging
import os
import pwd
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from images import FREY_FACE, needs_frey_face
from wandb_file import read_wandb

from vae_exp import lock
from vae_exp.cli import sample
from vae_exp.cli.output import Output, lasting_output
from vae_exp.cli.surroundings import provide_home
from vae_exp.config.paths import CONFIG_DIR
from vae_exp.dataset import frey_face
from vae_exp.dataset.mnist import MNIST

ROOT = Path(__file__).parents[2]
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
QUICK = ["samples=200", "logger=none", "callbacks.figures=null", "callbacks.evaluate.images=50"]
QUICK += ["network.hidden_sizes=[8]", "architecture.latent_dim=2", "trainer.compile=false"]


def closed_terminal():
    main, other = os.openpty()
    os.close(main)
    return os.fdopen(other, "w")


def pipe_without_reader():
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "w")


LOST = {
    "a closed terminal": (closed_terminal, "Input/output error", logging.WARNING),
    "a full disk": (lambda: open("/dev/full", "w"), "No space left on device", logging.WARNING),  # noqa: PTH123, SIM115
    "head": (pipe_without_reader, "Broken pipe", logging.INFO),
}


@pytest.mark.parametrize(("stream", "reason", "level"), LOST.values(), ids=LOST)
def test_output_that_is_lost_is_dropped_and_logged_once(stream, reason, level, caplog):
    caplog.set_level(logging.INFO)
    output = Output(stream(), "standard output")
    for _ in range(3):
        assert output.write("text\n") == 5
        output.writelines(["more\n"])
        output.flush()
    output.close()  # as the interpreter does at its end
    (record,) = caplog.records
    assert record.levelno == level
    assert record.getMessage() == f"standard output is lost ({reason}); the program goes on without it"


def test_what_an_encoding_lacks_is_escaped():
    raw = io.BytesIO()
    output = Output(io.TextIOWrapper(raw, encoding="ascii"), "standard output")
    output.write("−nll ± 1")
    output.flush()
    assert raw.getvalue() == rb"\u2212nll \xb1 1"


def test_closed_streams_are_open_inside(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    with lasting_output():
        print("nowhere", flush=True)
    assert sys.stdout is None


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([*PIP, "wheel", "-q", "--no-build-isolation", "--no-deps", "-w", folder, ROOT], check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def test_the_wheel_is_whole(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert "vae_exp/conf/config.yaml" in names
    assert {f"vae_exp/results/report/page.{kind}" for kind in ("html", "css", "js")} <= set(names)
    assert {"hydra_plugins/vae_exp_grid.py", "hydra_plugins/vae_exp_ray.py"} <= set(names)
    assert "vae_exp/dataset/mnist_files/train-images-idx3-ubyte.xz" in names
    assert "vae_exp/dataset/mnist_files/LICENSE.md" in names
    assert not [name for name in names if name.endswith(".mat")]


@pytest.fixture(scope="module")
def in_a_hostile_place(wheel, tmp_path_factory):
    """The installed wheel, as a task of a scheduler, from a notebook, with ASCII output to a full disk."""
    directory = tmp_path_factory.mktemp("hostile")
    site = tmp_path_factory.mktemp("site")
    subprocess.run([*PIP, "install", "-q", "--no-deps", "--no-index", "--target", site, wheel], check=True)
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


@pytest.mark.parametrize("choice", ["stdout", "disabled", "default", "none", "colorlog"])
def test_every_job_logging_of_hydra_is_whole(choice):
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        words = [f"hydra/job_logging={choice}", "hydra.runtime.output_dir=x", "hydra.job.name=a"]
        hydra = compose("config", words, return_hydra_config=True).hydra
    assert all("class" in handler for handler in (hydra.job_logging.get("handlers") or {}).values())


@pytest.mark.usefixtures("few_digits")
def test_colours_are_for_terminals_and_for_who_forces_them(run, monkeypatch):
    plain = run(*QUICK, "hydra/job_logging=stdout")
    assert plain.status == 0, plain.err
    assert not (plain.directory / "vae_exp.log").exists()
    assert "\x1b" not in plain.out
    monkeypatch.setenv("FORCE_COLOR", "1")
    coloured = run(*QUICK)
    assert "\x1b[32mINFO" in coloured.out
    assert "\x1b[?25l" not in coloured.out  # the bar is for terminals alone
    assert "\x1b" not in (coloured.directory / "vae_exp.log").read_text()
    monkeypatch.delenv("FORCE_COLOR")
    refused = run(*QUICK, "hydra/job_logging=default", "hydra.job.name=a/b")
    assert refused.status == 1
    assert "a/b.log" in refused.err
    assert "Traceback" not in refused.err


@pytest.mark.parametrize("reason", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_without_locks_it_warns_once_and_goes_on(reason, tmp_path, monkeypatch, caplog):
    def flock(*_):
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(fcntl, "flock", flock)
    lock._warn.cache_clear()
    for _ in range(2):
        with lock.alone(tmp_path, "another process is in it"), lock.locked(tmp_path / "other", wait=True):
            pass
    (record,) = caplog.records
    assert f"has no locks ({os.strerror(reason)})" in record.getMessage()


def test_an_error_of_another_kind_is_none_of_missing_locks(tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(OSError, match="Input/output"), lock.alone(tmp_path, "another process is in it"):
        pass


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


def test_without_a_home_a_folder_of_this_user_alone_is_taken(tmp_path, monkeypatch, caplog):
    def unknown(user):
        raise KeyError(f"getpwuid(): uid not found: {user}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("HOME", "")  # for monkeypatch to set it back
    monkeypatch.delenv("HOME")
    provide_home()
    home = tmp_path / f"vae_exp-{os.getuid()}"
    assert (Path.home(), home.stat().st_mode & 0o777) == (home, 0o700)
    assert str(home) in caplog.text


@needs_frey_face
def test_a_downloaded_file_has_the_mode_that_the_umask_leaves(tmp_path, monkeypatch):
    handler = partial(SimpleHTTPRequestHandler, directory=str(FREY_FACE))
    monkeypatch.setattr(SimpleHTTPRequestHandler, "log_message", lambda *_: None)
    before = os.umask(0o027)
    try:
        with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            monkeypatch.setattr(frey_face, "ADDRESS", f"http://127.0.0.1:{server.server_port}/frey_rawface.mat")
            frey_face.FreyFace(str(tmp_path)).load()
            server.shutdown()
    finally:
        os.umask(before)
    assert (tmp_path / "frey_rawface.mat").stat().st_mode & 0o777 == 0o640


@pytest.fixture
def killed_while_loading(monkeypatch, few_digits):
    """Send this process a signal when the images of a run are read, or of a later job."""
    load = MNIST.load

    def after(jobs: int, number: int) -> None:
        left = iter(range(jobs))

        def killed(self):
            if next(left, None) is None:
                os.kill(os.getpid(), number)
            return load(self)

        monkeypatch.setattr(MNIST, "load", killed)

    # a shell's background jobs inherit SIGINT as ignored; at a terminal it is Python's own
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield after
    signal.signal(signal.SIGINT, inherited)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_before_the_first_step_has_a_message(run, killed_while_loading, number):
    handler = signal.getsignal(number)
    killed_while_loading(0, number)
    outcome = run(*QUICK)
    assert outcome.status == 128 + number
    assert outcome.err.strip() == "Interrupted before the training began; nothing is lost"
    assert outcome.results["status"] == "interrupted"
    assert signal.getsignal(number) is handler


def test_a_signal_before_a_resumed_run_trains_says_how_to_go_on(run, killed_while_loading):
    outcome = run(*QUICK)
    killed_while_loading(0, signal.SIGTERM)
    resumed = run(f"resume={outcome.directory}", "samples=300")
    assert resumed.status == 128 + signal.SIGTERM
    assert f"Go on with:\n  python -m vae_exp resume={outcome.directory}" in resumed.err


def test_a_signal_while_a_job_of_a_sweep_starts_leaves_the_table(run, killed_while_loading, tmp_path):
    killed_while_loading(1, signal.SIGTERM)
    outcome = run("-m", "seed=0,1,2", *QUICK, f"hydra.sweep.dir={tmp_path}/sweep")
    assert outcome.status == 128 + signal.SIGTERM
    assert "python -m vae_exp -m sweep.resume=" in outcome.err
    assert "1 of 2 jobs completed" in outcome.out
    assert "| 1 | interrupted | " in (tmp_path / "sweep" / "sweep.md").read_text()


@pytest.mark.usefixtures("few_digits")
def test_relative_paths_count_from_where_they_were_typed(run, tmp_path, small_data):
    shutil.copytree(small_data / "KMNIST", tmp_path / "mine" / "KMNIST")
    words = ["dataset=kmnist", "dataset.source.root=mine", "hydra.job.chdir=true"]
    first = run(*QUICK, *words, directory=Path("first"))
    assert first.status == 0, first.err
    second = run(*QUICK, *words, "start_from=first", directory=Path("second"))
    assert second.status == 0, second.err
    assert "Beginning with " in second.out
    assert run("resume=first", "samples=300", "hydra.job.chdir=true").status == 0
    assert json.loads(Path("first/results.json").read_text())["samples"] == 300
    assert not list(Path("first").rglob("mine"))


LIKELIHOOD = """
from vae_exp.likelihood import Bernoulli

class Mine(Bernoulli):
    def __init__(self, floor: float = 0.1) -> None:
        super().__init__()
"""


@pytest.fixture
def config_dir(tmp_path, monkeypatch):
    """A likelihood of the user's own."""
    (tmp_path / "my_likelihood.py").write_text(LIKELIHOOD)
    (tmp_path / "my confs" / "likelihood").mkdir(parents=True)
    yaml = "_target_: my_likelihood.Mine\nfloor: 0.1\n"
    (tmp_path / "my confs" / "likelihood" / "mine.yaml").write_text(yaml)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path / "my confs"


@pytest.mark.usefixtures("few_digits")
def test_what_to_type_again_names_the_config_folder(run, config_dir, tmp_path):
    words = ["--config-dir=my confs", "likelihood=mine", *QUICK]
    first = run(*words)
    assert first.status == 0, first.err
    refused = run(f"resume={first.directory}", "samples=300")
    assert refused.status == 1
    command = f"python -m vae_exp '--config-dir={config_dir}' resume={first.directory}"
    assert command in refused.err
    assert command.replace(f"resume={first.directory}", "likelihood=mine") in (
        (first.directory / "report.html").read_text().replace("&#x27;", "'")
    )
    assert run(f"--config-dir={config_dir}", f"resume={first.directory}", "samples=300").status == 0
    assert first.results["samples"] == 300

    sweep = run("-m", *words, "seed=-1,-2", "hydra.sweep.dir=sweep")
    command = f"python -m vae_exp -m '--config-dir={config_dir}' sweep.resume=sweep"
    assert command in sweep.err
    refused = run("-m", "sweep.resume=sweep")
    assert refused.status == 1
    assert command in refused.err


@pytest.mark.usefixtures("few_digits")
def test_a_file_in_the_current_folder_is_found_and_hides_no_package(run, tmp_path, monkeypatch):
    (tmp_path / "own_parts_here.py").write_text(LIKELIHOOD)
    (tmp_path / "torch.py").write_text("raise RuntimeError('this is not torch')")
    before = list(sys.path)
    assert str(tmp_path) not in before
    outcome = run("likelihood._target_=own_parts_here.Mine", *QUICK, "hydra.job.chdir=true")
    assert outcome.status == 0, outcome.err
    assert sys.path == before
    monkeypatch.setattr(sys, "argv", ["sample", f"run={outcome.directory}", "n=4", "trust=own_parts_here"])
    sys.modules.pop("own_parts_here")
    sample.main()
    sys.modules.pop("own_parts_here")


def test_help_and_messages_know_the_config_folder(run, config_dir):
    typo = run("--config-dir=my confs", "likelihood=mine", "likelihood.flor=3")
    assert typo.status == 1
    assert "likelihood.flor: no such key. Did you mean likelihood.floor?" in typo.err
    shown = run("--help", "--config-dir=my confs", "likelihood=mine")
    assert shown.status == 0, shown.err
    assert "bernoulli  gaussian  mine" in shown.out
    assert "floor: 0.1" in shown.out


ENVIRONMENT = {
    "WANDB_PROJECT": "shelf",
    "WANDB_NAME": "book",
    "WANDB_RUN_GROUP": "row",
    "WANDB_JOB_TYPE": "reading",
    "WANDB_TAGS": "red,blue",
    "WANDB_RUN_ID": "isbn",
}


@pytest.mark.usefixtures("few_digits")
def test_the_variables_of_wandb_stand_where_the_config_says_nothing(run, monkeypatch, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    for name, value in {**ENVIRONMENT, "WANDB_DIR": str(tmp_path / "elsewhere")}.items():
        monkeypatch.setenv(name, value)
    quick = [*QUICK, "logger=wandb"]
    first = run(*quick, "logger.name=other")
    assert first.status == 0, first.err
    monkeypatch.setenv("WANDB_RUN_ID", "another")
    assert run(f"resume={first.directory}", "samples=300").status == 0
    logged, resumed = read_wandb(tmp_path / "elsewhere")
    assert (logged.project, logged.group, logged.job_type, logged.name) == ("shelf", "row", "reading", "other")
    assert (logged.run_id, resumed.run_id) == ("isbn", "isbn")
    assert logged.tags == ["red", "blue"]

    sweep = run("-m", "seed=0", *quick, "logger.mode=disabled", "hydra.sweep.dir=sweep")
    assert sweep.status == 0, sweep.err
    assert "WANDB_RUN_ID=another: is the id of one run" in sweep.out
    assert Path("sweep/0/wandb/id").read_text() != "another"
