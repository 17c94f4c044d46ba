"""The pictures of a sweep, beside the paper's."""

import json
from itertools import product

import numpy as np
import pytest
from matplotlib.image import imsave
from of_the_paper import MNIST
from small_sweep import QUICK
from tables import table

from vae_exp.figures import published
from vae_exp.figures.curves import axis_limits_of_curves
from vae_exp.results import curves as pictures_of
from vae_exp.results.jobs import Job, read_jobs
from vae_exp.results.report.sweep import charts as report_charts
from vae_exp.results.sweep import write_sweep

pytestmark = pytest.mark.usefixtures("few_digits")


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


def test_more_curves_than_colours_are_facets_of_one_key_with_a_colour_for_the_other(run, directory, monkeypatch):
    monkeypatch.setattr(pictures_of, "MOST_CURVES", 3)
    words = ["optimizer.lr=0.01,0.1", "posterior=diagonal,planar", "architecture.latent_dim=2,5"]
    once = [word for word in QUICK if "decades" not in word] + ["callbacks.evaluate.decades=0.01"]
    assert run("-m", *words, *once).status == 0
    jobs = read_jobs(directory)
    found = pictures_of.facets(jobs)
    assert list(found) == ["lr = 0.01", "lr = 0.1"]
    figure = dict(pictures_of.pictures(directory, jobs))["figure2.png"]
    assert [axis.get_title() for axis in figure.axes] == list(found)
    assert len({axis.get_ylim() for axis in figure.axes}) == 1
    for axis, value in zip(figure.axes, ("0.01", "0.1"), strict=True):
        drawn = {bars.get_label(): bars.lines[0].get_xydata().tolist() for bars in axis.containers}
        for posterior in ("diagonal", "planar"):
            own = [job for job in jobs if (job.value("optimizer.lr"), job.value("posterior")) == (value, posterior)]
            assert drawn[f"{posterior} test"] == [[job.results["latent_dim"], job.results["test/bound"]] for job in own]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["diagonal", "planar", "train", "test"]
    charts = report_charts(directory, jobs)
    assert [chart.title for chart in charts] == ["lr = 0.01, at the end", "lr = 0.1, at the end"]
    assert {series.label for chart in charts for series in chart.series} == {"diagonal", "planar"}


def synthetic(path, number, values, *, evaluations=(100, 200)):
    overrides = {key: str(value) for key, value in values.items()}
    results = values | {"status": "completed", "samples": 200, "train/bound": -1.0, "test/bound": -2.0 - number}
    rows = [{"samples": n, "train/bound": -1.0, "test/bound": -2.0 - number} for n in evaluations]
    return Job(str(number), path, overrides, results, rows)


def grid(path, *lists, evaluations=(100, 200)):
    keys = ("seed", "optimizer.lr", "objective", "architecture.latent_dim")
    found = [dict(zip(keys, combination, strict=True)) for combination in product(*lists)]
    return [synthetic(path, i, values, evaluations=evaluations) for i, values in enumerate(found)]


def test_facets_with_curves_are_rows_with_a_panel_for_every_size(tmp_path):
    jobs = grid(tmp_path, [0], [1, 2, 3], ["a", "b", "c"], [2, 5])
    jobs = [job for job in jobs if (job.value("optimizer.lr"), job.value("architecture.latent_dim")) != ("3", "5")]
    ((_, figure),) = pictures_of.pictures(tmp_path, jobs)
    axes = np.array(figure.axes).reshape(3, 3)  # a row for each lr, and the final values last
    assert [[axis.get_title() for axis in row] for row in axes[:2]] == [["$N_z$ = 2", "$N_z$ = 5", "at the end"]] * 2
    assert [text.get_text() for text in axes[1, 0].texts] == ["lr = 2"]
    assert not axes[2, 1].axison  # this size failed
    assert [len(axis.lines) for axis in axes[0, :2]] == [6, 6]
    assert axes[2, 0].get_ylim() == axes[0, 0].get_ylim()


@pytest.mark.parametrize(
    ("rates", "objectives", "expected"),
    [
        ([1, 2], ["a", "b"], [""]),
        ([1], list("abcdefghijk"), [""]),  # no second key to split by
        ([1, 2, 3], list("abc"), ["lr = 1", "lr = 2", "lr = 3"]),
        ([1, 2], list("abcdefgh"), [f"objective = {one}" for one in "abcdefgh"]),  # 8 colours are too many
    ],
)
def test_the_facet_is_the_first_key_that_leaves_few_enough_curves(tmp_path, rates, objectives, expected):
    assert list(pictures_of.facets(grid(tmp_path, [0, 1], rates, objectives, [2, 5]))) == expected


def test_curves_of_one_point_leave_out_the_panels_in_which_they_would_be_invisible(tmp_path):
    ((_, figure),) = pictures_of.pictures(tmp_path, grid(tmp_path, [0], [1], ["a", "b"], [2, 5], evaluations=(200,)))
    assert [axis.get_title() for axis in figure.axes] == ["at the end"]
    ((_, figure),) = pictures_of.pictures(tmp_path, grid(tmp_path, [0], [1], ["a", "b"], [2], evaluations=(200,)))
    assert [line.get_marker() for line in figure.axes[0].lines] == ["o"] * 4


def test_the_legend_of_many_curves_has_an_entry_for_each_colour_and_each_split(tmp_path):
    def legend(*settings):
        ((_, figure),) = pictures_of.pictures(tmp_path, grid(tmp_path, [0], *settings, [2, 5]))
        return [text.get_text() for text in figure.legends[0].get_texts()]

    assert legend([1], ["a", "b"]) == ["a train", "a test", "b train", "b test"]
    assert legend([1], list("abcde")) == [*"abcde", "train", "test"]
    assert legend([1, 2], list("abcde")) == [*"abcde", "train", "test"]  # facets of the first key


def test_the_axis_has_room_for_the_standard_errors(tmp_path):
    jobs = grid(tmp_path, [0, 1], [1], ["a"], [2, 5])
    (panels,) = pictures_of.facets(jobs).values()
    low, high = axis_limits_of_curves(panels)
    ends = [line.points[-1] for panel in panels for line in panel.lines]
    assert all(low < mean - error and mean + error < high for _, mean, error in ends)
    assert max(error for *_, error in ends) > 0


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


def test_figure_3_is_a_sweep_over_the_size_of_the_training_set(run, directory):
    quick = ["dataset.train_size=50,100", "objective=sgvb_b,mcem", "callbacks.evaluate.images=5"]
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
        assert row["test/images"] == "5"
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


LIKE_THE_PAPER = MNIST | {"status": "completed", "samples": 10000000}


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

    def test_the_papers_curves_are_drawn_beside_runs_that_were_evaluated_once(self, jobs, tmp_path):
        once = [Job(job.number, job.path, job.overrides, job.results, job.history[-1:]) for job in jobs]
        drawn = dict(pictures_of.pictures(tmp_path / "sweep", once))
        (axis,) = [axis for axis in drawn["figure2.png"].axes if axis.get_title() == "$N_z$ = 20"]
        assert [len(line.get_xdata()) > 1 for line in axis.lines if line.get_label().endswith("paper")] == [True, True]
        assert [line.get_marker() for line in axis.lines if line.get_label() == "sgvb_b test"] == ["o"]

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
