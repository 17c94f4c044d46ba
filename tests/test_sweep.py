"""Sweeps through the command line: the table, the picture's data, a failed job's row."""

import csv
import json
import sys

import pytest

from vae_exp import published, sweep
from vae_exp.errors import RunError

pytestmark = pytest.mark.usefixtures("few_digits")
QUICK = [
    "samples=300",
    "network.hidden_sizes=[8]",
    "logger=none",
    "callbacks.figures=null",
    "callbacks.evaluate.decades=0.5",
    "hydra.sweep.dir=sweep",
]


def table(directory):
    with (directory / "sweep.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "sweep"


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
    mean, deviation = (first + second) / 2, abs(first - second) / 2**0.5
    page = (directory / "sweep.md").read_text()
    assert "4 of 4 jobs completed" in page
    assert "| 2 | 2 | 300 | " in page
    assert f"{mean:.2f} ± {deviation:.2f}" in page
    assert "4 of 4 jobs completed" in outcome.out
    assert (directory / "figure2.png").stat().st_size > 10_000


def test_the_picture_draws_the_means_of_every_count_and_the_final_ones(run, directory):
    run("-m", "architecture.latent_dim=2,3", "seed=0,1", "objective=sgvb_b,wake_sleep", *QUICK)
    jobs = sweep.read_jobs(directory)
    panels = sweep.panels(jobs)
    assert [panel.latent_dim for panel in panels] == [2, 3]
    labels = [("sgvb_b", "train"), ("sgvb_b", "test"), ("wake_sleep", "train"), ("wake_sleep", "test")]
    for panel in panels:
        assert [(line.label, line.split) for line in panel.lines] == labels
        for line in panel.lines:
            of_line = [
                job
                for job in jobs
                if job.results["latent_dim"] == panel.latent_dim and job.results["objective"] == line.label
            ]
            assert [point[0] for point in line.points] == [row["samples"] for row in of_line[0].history]
            for i, (_, mean, _) in enumerate(line.points):
                values = [job.history[i][f"{line.split}/bound"] for job in of_line]
                assert mean == pytest.approx(sum(values) / 2)
    figure = sweep.bound_curves_of(jobs, "title")
    assert len(figure.axes) == 3
    curves = {line.get_label(): line for line in figure.axes[0].lines}
    assert set(curves) == {" ".join(label) for label in labels}
    assert list(curves["sgvb_b test"].get_ydata()) == [point[1] for point in panels[0].lines[1].points]
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()


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


def test_a_killed_job_is_a_row_too_and_the_table_can_be_made_again(run, directory, monkeypatch, capfd):
    run("-m", "architecture.latent_dim=2,3", *QUICK)
    (directory / "1" / "results.json").unlink()
    (directory / "sweep.md").unlink()
    monkeypatch.setattr(sys, "argv", ["sweep", str(directory)])
    sweep.main()
    assert [row["status"] for row in table(directory)] == ["completed", "killed"]
    assert "resume=" in (directory / "sweep.md").read_text()
    assert "1 of 2 jobs completed" in capfd.readouterr().out


def test_a_sweep_without_a_bound_shows_the_negative_nll(run, directory):
    assert run("-m", "architecture=ae", "architecture.latent_dim=2,3", *QUICK).status == 0
    rows = table(directory)
    assert f"{-float(rows[0]['test/nll']):.2f}" in (directory / "sweep.md").read_text()


def test_the_wrong_folder_is_one_message(tmp_path, monkeypatch, capsys):
    with pytest.raises(RunError, match="is not the directory of a sweep"):
        sweep.report(tmp_path)
    monkeypatch.setattr(sys, "argv", ["sweep", str(tmp_path)])
    with pytest.raises(SystemExit) as end:
        sweep.main()
    assert end.value.code == 1
    assert "holds no run" in capsys.readouterr().err


def test_figure_2_is_a_sweep_beside_the_published_curves(run, directory):
    quick = [word for word in QUICK if not word.startswith("network")]
    few = ["objective=sgvb_b,wake_sleep", "architecture.latent_dim=3,200"]
    assert run("-m", "+experiment=figure2_mnist", *few, *quick).status == 0
    rows = table(directory)
    assert [(row["architecture.latent_dim"], row["objective"]) for row in rows] == [
        ("3", "sgvb_b"),
        ("3", "wake_sleep"),
        ("200", "sgvb_b"),
        ("200", "wake_sleep"),
    ]
    first = sweep.panels(sweep.read_jobs(directory))[0].lines[1]
    assert first.published == published.curve(2, "mnist", 3, "aevb", "test")


@pytest.mark.parametrize(
    ("dataset", "values"),
    [
        ("mnist", {3: -138.0, 5: -124.2, 10: -108.5, 20: -104.8, 200: -103.9}),
        ("frey", {2: 823, 5: 1044, 10: 1170, 20: 1201}),
    ],
)
def test_published_bounds_at_ten_million_samples(dataset, values):
    for size, value in values.items():
        found = published.curve(2, dataset, size, "aevb", "test").at(10**7)
        assert found == pytest.approx(value, abs=1 if dataset == "frey" else 0.1)


def test_a_published_curve_is_linear_in_log_samples_and_ends():
    curve = published.Curve((100, 10_000), (1.0, 3.0))
    assert curve.at(1000) == pytest.approx(2)
    assert curve.at(100) == 1
    assert curve.at(99) is None
    assert curve.at(10_001) is None
    assert published.curve(2, "mnist", 4, "aevb", "test") is None
