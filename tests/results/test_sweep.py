"""Sweeps through the command line: the table, the picture's data, a failed job's row."""

import csv
import json
import os
import shutil
import signal
import sys

import numpy as np
import pytest
from hydra.core.hydra_config import HydraConfig
from matplotlib.image import imsave

from vae_exp.cli import report
from vae_exp.errors import RunError
from vae_exp.figures import published
from vae_exp.results import curves as pictures_of
from vae_exp.results.jobs import Job, groups, read_jobs, varied
from vae_exp.results.report.sweep import charts as report_charts
from vae_exp.results.run_directory import RunDirectory
from vae_exp.results.sweep import write_sweep
from vae_exp.results.sweep_directory import SweepDirectory
from vae_exp.training.loop import Loop

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
    jobs = read_jobs(directory)
    panels = pictures_of.panels(jobs)
    assert [panel.size for panel in panels] == [2, 3]
    labels = [("sgvb_b", "train"), ("sgvb_b", "test"), ("wake_sleep", "train"), ("wake_sleep", "test")]
    for panel in panels:
        assert [(line.label, line.split) for line in panel.lines] == labels
        for line in panel.lines:
            of_line = [
                job
                for job in jobs
                if job.results["latent_dim"] == panel.size and job.results["objective"] == line.label
            ]
            assert [point[0] for point in line.points] == [row["samples"] for row in of_line[0].history]
            for i, (_, mean, _) in enumerate(line.points):
                values = [job.history[i][f"{line.split}/bound"] for job in of_line]
                assert mean == pytest.approx(sum(values) / 2)
    figure = dict(pictures_of.pictures(directory, jobs))["figure2.png"]
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
    with RunDirectory(directory / "1").locked():
        report.main()
    assert [row["status"] for row in table(directory)] == ["completed", "running"]
    report.main()
    assert [row["status"] for row in table(directory)] == ["completed", "killed"]
    assert "resume=" in (directory / "sweep.md").read_text()
    assert "1 of 2 jobs completed" in capfd.readouterr().out


def test_a_sweep_without_a_bound_shows_the_negative_nll(run, directory):
    assert run("-m", "architecture=ae", "architecture.latent_dim=2,3", *QUICK).status == 0
    rows = table(directory)
    assert f"{-float(rows[0]['test/nll']):.2f}" in (directory / "sweep.md").read_text()


def test_the_wrong_folder_is_one_message(tmp_path, monkeypatch, capsys):
    with pytest.raises(RunError, match="is not the directory of a sweep"):
        write_sweep(tmp_path)
    monkeypatch.setattr(sys, "argv", ["sweep", str(tmp_path)])
    with pytest.raises(SystemExit) as end:
        report.main()
    assert end.value.code == 1
    assert "is the directory of neither a run nor a sweep" in capsys.readouterr().err


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
    first = pictures_of.panels(read_jobs(directory))[0].lines[1]
    assert first.published == published.curve(2, "mnist", 3, "aevb", "test")


def test_figure_3_is_a_sweep_over_the_size_of_the_training_set(run, directory, monkeypatch):
    monkeypatch.setattr("vae_exp.posterior.hmc.DRAWS", 1000)
    quick = ["dataset.train_size=50,100", "objective=sgvb_b,mcem", "callbacks.evaluate.images=20"]
    quick += [*(word for word in QUICK if "decades" not in word), "callbacks.evaluate.decades=0.01"]
    assert run("-m", "+experiment=figure3", *quick).status == 0
    rows = table(directory)
    assert [(row["dataset.train_size"], row["objective"]) for row in rows] == [
        ("50", "sgvb_b"),
        ("50", "mcem"),
        ("100", "sgvb_b"),
        ("100", "mcem"),
    ]
    jobs = read_jobs(directory)
    assert [job.results["optimizer.lr"] for job in jobs] == [0.1, 0.3, 0.1, 0.3]
    for row in rows:
        assert row["test/images"] == "20"
        assert float(row["test/log_likelihood"]) > float(row["test/bound"]) - 0.5
    panels = pictures_of.panels(jobs)
    assert [panel.size for panel in panels] == [50, 100]
    last = panels[1].lines[3]
    assert (last.label, last.split) == ("mcem", "test")
    assert last.points[-1][1] == jobs[3].results["test/log_likelihood"]
    assert (directory / "figure3.png").exists()
    page = (directory / "sweep.md").read_text()
    assert "For each split: log p(x), estimated" in page
    assert f"{jobs[3].results['test/log_likelihood']:.2f}" in page


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


def test_a_sweep_of_no_named_experiment_has_a_directory_of_its_own(run, tmp_path, monkeypatch):
    monkeypatch.setattr(HydraConfig.instance(), "cfg", None)  # that of an earlier job would hide that there is none yet
    quick = [word for word in QUICK if not word.startswith("hydra")]
    outcome = run("-m", "architecture=ae", "dataset=kmnist", "architecture.latent_dim=2,3", *quick)
    assert outcome.status == 0, outcome.err
    assert len(list(tmp_path.glob("multirun/kmnist_ae/*/sweep.csv"))) == 1


def test_a_fault_in_the_table_does_not_hide_what_ended_the_sweep(run, directory, monkeypatch):
    monkeypatch.setattr("vae_exp.cli.sweep.write_sweep", lambda path: 1 / 0)
    outcome = run("-m", "dataset.train_size=99999,50", *QUICK)
    assert outcome.status == 1
    assert "dataset.train_size=99999" in outcome.err


def test_what_does_not_touch_the_numbers_is_not_varied(tmp_path):
    """A job that was resumed elsewhere stays with the seeds of its setting; untyped keys have their own values."""
    results = {"status": "completed", "latent_dim": 2, "objective": "sgvb_b", "seed": 0}
    jobs = [
        Job("0", tmp_path, {"seed": "0"}, results, []),
        Job("1", tmp_path, {"seed": "1", "paths.data": "/elsewhere", "objective": "sgvb_b"}, results, []),
    ]
    assert varied(jobs) == ["seed"]
    assert [len(group) for group in groups(jobs).values()] == [2]


def test_a_budget_that_was_asked_for_is_kept_beside_the_one_that_was_reached(run, directory):
    quick = [word for word in QUICK if not word.startswith("samples")]
    assert run("-m", "samples=200,300", "dataset.train_size=50,99999", *quick).status == 1
    assert [row["samples"] for row in table(directory)] == ["200", "200", "300", "300"]


class TestResume:
    @pytest.fixture
    def begun(self, run, directory, tmp_path_factory):
        """A sweep of four jobs: one failed, one was not reached, one killed in the middle; made once."""
        made = tmp_path_factory.getbasetemp() / "begun"
        if made.exists():
            shutil.copytree(made, directory)
        else:
            assert run("-m", "architecture.latent_dim=2,3", "seed=0,1", *QUICK).status == 0
            (directory / "1" / "results.json").unlink()
            shutil.rmtree(directory / "2")
            results = json.loads((directory / "3" / "results.json").read_text())
            (directory / "3" / "results.json").write_text(json.dumps(results | {"status": "failed"}))
            shutil.copytree(directory, made)
        return {path: path.read_bytes() for path in directory.glob("*/results.json")}

    @pytest.mark.parametrize(
        "words",
        [
            ["sweep.resume=sweep"],
            ["-m", "seed=0,1", "architecture.latent_dim=2,3", "sweep.resume=sweep"],  # in another order
            ["-m", "architecture.latent_dim=2,3", "seed=0,1", *QUICK],  # the directory named again
        ],
        ids=["alone", "with its words", "named again"],
    )
    def test_runs_what_is_not_completed_under_its_own_numbers(self, run, directory, begun, words):
        outcome = run(*words)
        assert outcome.status == 0, outcome.err
        assert "1 of 4 jobs are completed; left: 1, 2, 3" in outcome.out
        assert (directory / "0" / "results.json").read_bytes() == begun[directory / "0" / "results.json"]
        rows = table(directory)
        assert [(row["job"], row["architecture.latent_dim"], row["seed"], row["status"]) for row in rows] == [
            ("0", "2", "0", "completed"),
            ("1", "2", "1", "completed"),
            ("2", "3", "0", "completed"),
            ("3", "3", "1", "completed"),
        ]
        assert run(*words).status == 0  # nothing is left

    def test_the_numbers_are_those_of_a_sweep_never_stopped(self, run, tmp_path, monkeypatch):
        words = ["-m", "seed=0,1,2", *(word for word in QUICK if "sweep.dir" not in word)]
        assert run(*words, "hydra.sweep.dir=whole").status == 0
        with monkeypatch.context() as patch:
            patch.setattr("vae_exp.training.loop.Loop.on_train_batch_end", interrupt_second_seed)
            outcome = run(*words, "hydra.sweep.dir=stopped")
        assert outcome.status == 130
        assert "python -m vae_exp -m sweep.resume=stopped" in outcome.err
        assert len(table(tmp_path / "stopped")) == 2
        assert run("sweep.resume=stopped").status == 0
        names = ("seed", "status", "test/bound", "train/kl", "samples")
        whole, stopped = ([[row[name] for name in names] for row in table(tmp_path / d)] for d in ("whole", "stopped"))
        assert whole == stopped

    def test_refuses_what_is_not_this_sweep(self, run, begun, directory):
        for words, told in (
            (["sweep.resume=swoop"], "sweep.resume=swoop: is not the directory of a sweep"),
            (["sweep.resume=swoop"], "Did you mean sweep?"),
            (["sweep.resume=sweep/0"], "It is a run: resume=sweep/0"),
            (["resume=sweep"], "It is the directory of a sweep: name one of its jobs"),
            (["-m", "sweep.resume="], "sweep.resume=: a value is needed, and this one is empty"),
            (["sweep.resum=sweep"], "sweep.resum: no such key. Did you mean sweep.resume?"),
            (["sweep.resume=sweep", "hydra.sweep.dir=other"], "hydra.sweep.dir: a resumed sweep stays where it is"),
            (["sweep.resume=sweep", "seed=0,2"], "belongs to another sweep: its job 1 is architecture.latent_dim=2"),
            (["sweep.resume=sweep", "seed=0,1,2"], "belongs to another sweep: it has 4 jobs, not 6"),
            (["-m", *QUICK, "samples=100"], "belongs to another sweep"),
        ):
            outcome = run(*words)
            assert outcome.status == 1
            assert told in outcome.err
        with SweepDirectory(directory).locked():
            outcome = run("sweep.resume=sweep")
        assert outcome.status == 1
        assert "another process is in this sweep" in outcome.err
        assert {path: path.read_bytes() for path in directory.glob("*/results.json")} == begun


def interrupt_second_seed(loop, trainer, experiment, *others, proceed=Loop.on_train_batch_end):
    if experiment.seed == 1:
        os.kill(os.getpid(), signal.SIGINT)
    proceed(loop, trainer, experiment, *others)


def test_every_failure_is_told_with_its_overrides(run, directory):
    outcome = run("-m", "dataset.train_size=99999,50,88888", *QUICK)
    assert outcome.status == 1
    assert "2 of 3 jobs failed" in outcome.err
    for job, size in ((0, 99999), (2, 88888)):
        assert f"job {job} (dataset.train_size={size} samples=300 " in outcome.err
        assert f"[dataset.train_size={size} samples=300 " in (directory / str(job) / "vae_exp.log").read_text()


def test_two_sweeps_of_the_same_second_have_directories_of_their_own(run, tmp_path):
    quick = [word for word in QUICK if "sweep.dir" not in word]
    for _ in range(2):
        assert run("-m", "seed=-1", *quick).status == 1
    assert len(list(tmp_path.glob("multirun/mnist_vae/*/sweep.csv"))) == 2


LIKE_THE_PAPER = {
    "status": "completed",
    "dataset": "mnist",
    "dataset.binarization": "none",
    "dataset.train_size": None,
    "dataset.validation_size": 0,
    "architecture": "vae",
    "architecture.beta": 1.0,
    "architecture.conditional": False,
    "network": "mlp",
    "network.activation": "tanh",
    "network.hidden_sizes": [500],
    "likelihood": "bernoulli",
    "samples": 10_000_000,
}


class TestBesideThePaper:
    """Runs as they lie on the disk, long enough to be held against the published curves."""

    @pytest.fixture
    def jobs(self, tmp_path):
        for number, (size, objective) in enumerate([(3, "sgvb_b"), (3, "wake_sleep"), (20, "sgvb_b"), (4, "sgvb_b")]):
            job = tmp_path / "sweep" / str(number)
            job.mkdir(parents=True)
            own = {
                "latent_dim": size,
                "architecture.latent_dim": size,
                "objective": objective,
                "train/bound": -105.0,
                "test/bound": -106.0,
            }
            words = [f"architecture.latent_dim={size}", f"objective={objective}"]
            (job / "results.json").write_text(json.dumps(LIKE_THE_PAPER | own | {"overrides": words}))
            rows = ["samples,train/bound,test/bound", "1000000,-120.0,-121.0", "10000000,-105.0,-106.0"]
            (job / "metrics.csv").write_text("\n".join([*rows, ""]))
            picture = job / "figures" / "samples.png"
            picture.parent.mkdir()
            imsave(picture, np.full((4, 4, 3), number / 4))
        return read_jobs(tmp_path / "sweep")

    def test_the_table_has_the_difference_at_the_same_samples(self, jobs, tmp_path):
        page = write_sweep(tmp_path / "sweep").read_text()
        cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if "| 1 |" in line]
        assert [(row[0], row[1], row[6], row[7]) for row in cells] == [
            ("3", "sgvb_b", "-138.0", "+32.0"),
            ("3", "wake_sleep", "-144.9", "+38.9"),
            ("20", "sgvb_b", "-104.8", "-1.2"),
            ("4", "sgvb_b", "", ""),
        ]

    def test_the_picture_has_the_papers_curves_as_far_as_ours_reach(self, jobs, tmp_path):
        drawn = dict(pictures_of.pictures(tmp_path / "sweep", jobs))
        axes = {axis.get_title(): axis for axis in drawn["figure2.png"].axes}
        curve = published.curve(2, "mnist", 20, "aevb", "test")
        (line,) = [x for x in axes["$N_z$ = 20"].lines if x.get_label() == "sgvb_b test, paper"]
        shown = sum(n <= 10**7 for n in curve.samples)
        assert tuple(line.get_ydata()) == curve.nats[:shown]
        assert not [x for x in axes["$N_z$ = 4"].lines if "paper" in str(x.get_label())]
        crosses = [x for x in axes["at the end"].lines if x.get_marker() == "x"]
        assert [3.0, 20.0] in [list(x.get_xdata()) for x in crosses]
        names = {text.get_text() for text in drawn["figure2.png"].legends[0].get_texts()}
        assert {"sgvb_b train", "sgvb_b test, paper", "wake_sleep test, paper"} <= names

    def test_the_page_has_them_too(self, jobs, tmp_path):
        charts = {chart.title: chart for chart in report_charts(tmp_path, jobs)}
        assert list(charts) == ["latent_dim = 3", "latent_dim = 4", "latent_dim = 20", "at the end"]
        curve = published.curve(2, "mnist", 20, "aevb", "test")
        (series,) = [s for s in charts["latent_dim = 20"].series if s.published and s.split == "test"]
        assert [nats for _, nats, _ in series.points] == list(curve.nats[: sum(n <= 10**7 for n in curve.samples)])
        assert not [series for series in charts["latent_dim = 4"].series if series.published]
        theirs = [s for s in charts["at the end"].series if s.published and (s.label, s.split) == ("sgvb_b", "test")]
        assert [size for size, _, _ in theirs[0].points] == [3, 20]

    def test_figure_3_is_the_marginal_likelihood_by_size_of_the_training_set(self, jobs, tmp_path):
        own = {"network.hidden_sizes": [100], "architecture.latent_dim": 3, "test/log_likelihood": -140.0}
        for size, objective, method in ((1000, "mcem", "mcem"), (50_000, "wake_sleep", "wake-sleep")):
            results = jobs[0].results | own | {"dataset.train_size": size, "objective": objective}
            found = Job("0", tmp_path, {}, results, []).published("test")
            assert found == published.curve(3, "mnist", size, method, "test") is not None
            assert Job("0", tmp_path, {}, results | {"test/log_likelihood": None}, []).published("test") is None
            assert Job("0", tmp_path, {}, results | {"architecture.latent_dim": 4}, []).published("test") is None
        assert Job("0", tmp_path, {}, results | {"dataset.train_size": 999}, []).published("test") is None

    def test_the_samples_lie_beside_each_other_under_their_settings(self, jobs, tmp_path):
        collage = dict(pictures_of.pictures(tmp_path / "sweep", jobs))["samples.png"]
        titles = [axis.get_title() for axis in collage.axes]
        assert titles == ["3, sgvb_b", "3, wake_sleep", "20, sgvb_b", "4, sgvb_b"]
        shades = [float(axis.images[0].get_array()[0, 0, 0]) for axis in collage.axes]
        assert shades == pytest.approx([0, 0.25, 0.5, 0.75], abs=0.01)

    @pytest.mark.parametrize(
        "other",
        [
            {"dataset.binarization": "dynamic"},
            {"dataset.train_size": 1000},
            {"architecture.conditional": True},
            {"architecture.beta": 2.0},
            {"network.activation": "relu"},
            {"network.hidden_sizes": [200]},
            {"likelihood": "gaussian"},
            {"objective": "iwae"},
            {"architecture.latent_dim": 4},
            {"test/log_likelihood": -105.0},
        ],
        ids=str,
    )
    def test_other_models_are_not_held_against_the_paper(self, jobs, other, tmp_path):
        assert jobs[0].published("test") is not None
        assert Job("0", tmp_path, {}, jobs[0].results | other, []).published("test") is None
