"""Sweeps through the command line: the table, the picture's data, a failed job's row."""

import json

import pytest
from small_sweep import QUICK
from tables import table

from vae_exp.errors import RunError
from vae_exp.results.numbers import rounded, shown
from vae_exp.results.sweep import write_sweep

pytestmark = pytest.mark.usefixtures("few_digits")


def test_every_combination_is_a_row_and_seeds_are_averaged(run, directory):
    outcome = run("-m", "architecture.latent_dim=2,3", "seed=range(2)", *QUICK)
    assert outcome.status == 0
    rows = table(directory)
    assert [(row["job"], row["architecture.latent_dim"], row["seed"]) for row in rows] == [
        ("0", "2", "0"),
        ("1", "2", "1"),
        ("2", "3", "0"),
        ("3", "3", "1"),
    ]
    for row in rows:
        results = json.loads((directory / row["job"] / "results.json").read_text())
        assert row["status"] == "completed"
        assert float(row["test/bound"]) == results["test/bound"]
        assert float(row["train/kl"]) == results["train/kl"]
    first, second = (float(row["test/bound"]) for row in rows[:2])
    mean, error = (first + second) / 2, abs(first - second) / 2
    page = (directory / "sweep.md").read_text()
    assert "4 of 4 jobs completed" in page
    assert "| 2 | 2 | 300 | " in page
    assert f"| {shown(mean, error)} |" in page
    assert "4 of 4 jobs completed" in outcome.out
    assert (directory / "figure2.png").stat().st_size > 10_000


def test_a_failed_job_is_a_row_that_says_so_and_the_others_go_on(run, directory):
    outcome = run("-m", "dataset.train_size=50,99999,60", *QUICK)
    assert outcome.status == 1
    rows = table(directory)
    assert [row["status"] for row in rows] == ["completed", "failed", "completed"]
    assert "dataset.train_size=99999" in rows[1]["error"]
    assert rows[1]["test/bound"] == ""
    page = (directory / "sweep.md").read_text()
    assert "2 of 3 jobs completed" in page
    assert "| 1 | failed | dataset.train_size=99999 " in page
    assert "dataset.train_size=99999" in outcome.err


def test_a_value_that_is_not_allowed_fails_its_job_only(run, directory):
    assert run("-m", "architecture.latent_dim=2,-3", *QUICK).status == 1
    rows = table(directory)
    assert [(row["architecture.latent_dim"], row["status"]) for row in rows] == [("2", "completed"), ("-3", "failed")]


def test_a_sweep_without_a_bound_shows_the_negative_nll(run, directory):
    assert run("-m", "architecture=ae", "architecture.latent_dim=2,3", *QUICK).status == 0
    rows = table(directory)
    cell = rounded(-float(rows[0]["test/nll"]), float(rows[0]["test/nll_standard_error"]))
    assert f"| {cell} |" in (directory / "sweep.md").read_text()  # a single run has the digits of its images' error


def test_the_wrong_folder_is_one_message(tmp_path):
    with pytest.raises(RunError, match="is not the directory of a sweep"):
        write_sweep(tmp_path)


def test_a_budget_that_was_asked_for_is_kept_beside_the_one_that_was_reached(run, directory):
    quick = [word for word in QUICK if not word.startswith("samples")]
    assert run("-m", "samples=200,300", "dataset.train_size=50,99999", *quick).status == 1
    assert [row["samples"] for row in table(directory)] == ["200", "200", "300", "300"]
