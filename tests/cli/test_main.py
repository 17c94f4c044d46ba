import contextlib
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from messages import refused
from program import command_line

from vae_exp.cli.main import main

QUICK = ["samples=200", "logger=none", "callbacks.figures=null"]
pytestmark = pytest.mark.usefixtures("few_digits")


def test_flags_may_stand_anywhere(run, tmp_path):
    outcome = run("seed=3", "-m", *QUICK, f"hydra.sweep.dir={tmp_path / 'sweep'}")
    assert outcome.status == 0, outcome.err
    assert (tmp_path / "sweep" / "0" / "results.json").exists()
    refused(run("--seed=3", *QUICK), "--seed=3: no such flag. Keys are written without dashes: seed=3")
    refused(run("-m", "--cfg", "job"), "Only one of --run, --multirun, --cfg")
    refused(run("-seed", "3", *QUICK), "-seed: no such flag. Keys are written without dashes: seed=…")


def test_the_whole_traceback_is_there_for_who_wants_it(tmp_path):
    process = command_line("vae_exp", "architecture.latnet_dim=3", cwd=tmp_path, HYDRA_FULL_ERROR="1")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Traceback" in err


@pytest.mark.parametrize("arguments", [["--help"], ["--cfg", "job"]], ids=str)
def test_help_and_config_do_not_import_torch(tmp_path, arguments):
    code = f"import sys; sys.argv = ['vae_exp', *{arguments}]\nfrom vae_exp.cli.main import main\n"
    code += "try: main()\nfinally: print('torch' in sys.modules, file=sys.stderr)"
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert result.stderr.strip() == "False"
    assert "latent_dim: 20" in result.stdout
    assert not list(Path(tmp_path).iterdir())


def test_help_lists_what_can_be_chosen(run):
    out = run("--help").out
    for word in ("+experiment=mnist_vae", "dataset=", "frey_face", "keras_conv_vae", "weight_prior: 1.0"):
        assert word in out


@pytest.mark.parametrize("command", ["evaluate", "sample", "encode", "export", "touch", "report"])
def test_every_command_has_its_help(monkeypatch, capsys, command):
    monkeypatch.setattr(sys, "argv", ["vae_exp", command, "--help"])
    with contextlib.suppress(SystemExit):
        main()
    assert capsys.readouterr().out.startswith(f"python -m vae_exp {command} ")


def test_a_command_that_does_not_exist_is_one_message(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["vae_exp", "evalute", "run=x"])
    with pytest.raises(SystemExit, match="1"):
        main()
    error = capsys.readouterr().err
    assert error.startswith("evalute: no such command. Did you mean evaluate?")
    assert "Traceback" not in error


@pytest.mark.parametrize("command", ["evaluate", "sample"])
def test_a_command_of_the_last_version_says_what_replaces_it(monkeypatch, capsys, command):
    monkeypatch.setattr(sys, "argv", [command, "--help"])
    with contextlib.suppress(SystemExit):
        runpy.run_module(f"vae_exp.{command}", run_name="__main__")
    said = capsys.readouterr()
    assert said.err == f"python -m vae_exp.{command} is now: python -m vae_exp {command}\n"
    assert said.out.startswith(f"python -m vae_exp {command} ")


def test_train_is_the_command_without_a_name(run):
    outcome = run("train", "samples=100", "network.hidden_sizes=[4]", "logger=none", "callbacks.figures=null")
    assert outcome.status == 0, outcome.err
    assert (outcome.results["status"], outcome.results["samples"]) == ("completed", 100)
