import os
import pwd
import sys
import tempfile
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from vae_exp.cli import sample
from vae_exp.cli.surroundings import provide_home
from vae_exp.config.paths import CONFIG_DIR

QUICK = ["samples=200", "logger=none", "callbacks.figures=null", "callbacks.evaluate.images=50"]
QUICK += ["network.hidden_sizes=[8]", "architecture.latent_dim=2", "trainer.compile=false"]


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


LIKELIHOOD = """
from vae_exp.likelihood import Bernoulli

class Mine(Bernoulli):
    pass
"""


@pytest.mark.usefixtures("few_digits")
def test_a_file_in_the_current_folder_is_found_and_hides_no_package(run, tmp_path, monkeypatch):
    (tmp_path / "parts_in_this_folder.py").write_text(LIKELIHOOD)
    (tmp_path / "torch.py").write_text("raise RuntimeError('this is not torch')")
    before = list(sys.path)
    assert str(tmp_path) not in before
    outcome = run("likelihood._target_=parts_in_this_folder.Mine", *QUICK, "hydra.job.chdir=true")
    assert outcome.status == 0, outcome.err
    monkeypatch.setattr(sys, "argv", ["sample", f"run={outcome.directory}", "n=4", "trust=parts_in_this_folder"])
    sys.modules.pop("parts_in_this_folder")
    sample.main()
    sys.modules.pop("parts_in_this_folder")
    assert sys.path == before
