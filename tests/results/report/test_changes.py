"""Which settings of a run differ from those of its experiment."""

import pytest
from pages import report_data

from vae_exp.results.jobs import read_job, read_jobs
from vae_exp.results.report.changes import changes, source

TINY = ["samples=200", "logger=none", "callbacks.figures=null", "callbacks.evaluate.decades=0.1"]
pytestmark = pytest.mark.usefixtures("few_digits", "reports")


def test_only_what_differs_from_the_experiment_is_shown_with_its_value_there(run):
    typed = ["+experiment=mnist_vae", "architecture.latent_dim=3", "network.hidden_sizes=[8]", "optimizer.lr=0.02"]
    outcome = run(*typed, "scheduler=cosine", "scheduler.final=0.1", *TINY)
    assert outcome.status == 0, outcome.err
    page = report_data(outcome.directory)
    assert page["settings"]["columns"] == ["setting", "here", "in the experiment mnist_vae"]
    rows = {key: (here, there) for key, here, there in page["settings"]["rows"]}
    assert rows == {
        "architecture.latent_dim": ("3", "20"),
        "network.hidden_sizes": ("[8]", "[500]"),
        "samples": ("200", "1000000"),
        "scheduler": ("cosine", "none"),
        "scheduler.final": ("0.1", "–"),
    }
    assert "arXiv 1312.6114" in page["reproduction"]["source"]


def test_a_part_that_differs_is_one_row(run):
    other = ["optimizer=adam", "~optimizer.momentum", "optimizer.lr=0.005"]
    outcome = run("+experiment=linear_ae", *other, "dataset.batch_size=100", *TINY)
    assert outcome.status == 0, outcome.err
    rows = {row[0]: row[1:] for row in changes([read_job(outcome.directory)]).rows}
    assert rows["optimizer"] == ["adam", "sgd"]
    assert not [key for key in rows if key.startswith("optimizer.")]
    assert "weight_prior" not in rows  # 0 in the yaml of the config is 0.0 in the run's


def test_a_run_without_an_experiment_is_compared_with_a_run_without_overrides(trained):
    job = read_job(trained)
    found = changes([job])
    assert found.columns[2] == "in a run without overrides"
    assert ["network.hidden_sizes", "[8]", "[500]"] in found.rows
    assert source([job]) == ""


def test_a_run_of_an_experiment_that_is_not_ours_has_no_such_table(trained):
    job = read_job(trained)
    job.overrides["experiment"] = "own"
    assert changes([job]) is None


def test_the_settings_of_a_sweep_are_those_that_all_jobs_share(swept):
    jobs = read_jobs(swept)
    rows = {row[0]: row[1:] for row in changes(jobs).rows}
    assert rows["samples"] == ["200", "1000000"]
    assert "seed" not in rows
    jobs[0].overrides["experiment"] = "mnist_vae"
    assert changes(jobs) is None
