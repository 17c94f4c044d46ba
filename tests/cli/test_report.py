"""`python -m vae_exp report` on a run or a sweep."""

import sys

import pytest
from pages import report_data
from tables import table

from vae_exp.cli import report
from vae_exp.results.run_directory import RunDirectory

QUICK = ["network.hidden_sizes=[8]", "logger=none", "callbacks.evaluate.decades=1", "callbacks.figures=null"]
pytestmark = pytest.mark.usefixtures("few_digits")


@pytest.mark.usefixtures("reports")
def test_the_reports_can_be_made_again_and_a_killed_job_has_one(run, tmp_path, monkeypatch):
    assert run("-m", "seed=0,1", "hydra.sweep.dir=sweep", "samples=1000", *QUICK).status == 0
    directory = tmp_path / "sweep"
    (directory / "1" / "results.json").unlink()
    for file in directory.rglob("report.html"):
        file.unlink()
    monkeypatch.setattr(sys, "argv", ["report", str(directory)])
    with RunDirectory(directory / "1").locked():
        report.main()
    assert report_data(directory / "1")["status"] == "running"
    report.main()
    killed = report_data(directory / "1")
    assert [chart["title"] for chart in killed["charts"]] == ["bound", "nll", "kl"]
    assert (killed["status"], killed["facts"]["samples"]) == ("killed", 1000)
    assert killed["command"].startswith("python -m vae_exp ")
    assert " seed=1 " in killed["command"]
    rows = report_data(directory)["tables"][0]["rows"]
    assert [(row[0]["href"], row[1]) for row in rows] == [
        ("./0/report.html", "completed"),
        ("./1/report.html", "killed"),
    ]


def test_the_wrong_folder_is_one_message(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["report", str(tmp_path)])
    with pytest.raises(SystemExit) as end:
        report.main()
    assert end.value.code == 1
    assert "is the directory of neither a run nor a sweep" in capsys.readouterr().err


def test_a_killed_job_is_a_row_too_and_the_table_can_be_made_again(run, directory, monkeypatch, capfd):
    run("-m", "architecture.latent_dim=2,3", "samples=300", *QUICK, "hydra.sweep.dir=sweep")
    (directory / "1" / "results.json").unlink()
    (directory / "sweep.md").unlink()
    monkeypatch.setattr(sys, "argv", ["report", str(directory)])
    with RunDirectory(directory / "1").locked():
        report.main()
    assert [row["status"] for row in table(directory)] == ["completed", "running"]
    report.main()
    assert [row["status"] for row in table(directory)] == ["completed", "killed"]
    assert "resume=" in (directory / "sweep.md").read_text()
    assert "1 of 2 jobs completed" in capfd.readouterr().out
