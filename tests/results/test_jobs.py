import json
from statistics import fmean

import pytest
from pages import report_data
from scipy.stats import sem

from vae_exp.results.jobs import MNIST, PAPER, Group, Job, comparable_groups, groups, varied_keys
from vae_exp.results.metrics import with_error
from vae_exp.results.numbers import shown

pytestmark = pytest.mark.usefixtures("few_digits")
QUICK = ["network.hidden_sizes=[8]", "logger=none", "callbacks.figures=null", "callbacks.evaluate.decades=0.3"]


def test_what_does_not_touch_the_numbers_is_not_varied(tmp_path):
    """A job that was resumed elsewhere stays with the seeds of its setting; untyped keys have their own values."""
    results = {"status": "completed", "latent_dim": 2, "objective": "sgvb_b", "seed": 0}
    jobs = [
        Job("0", tmp_path, {"seed": "0"}, results, []),
        Job("1", tmp_path, {"seed": "1", "paths.data": "/elsewhere", "objective": "sgvb_b"}, results, []),
    ]
    assert varied_keys(jobs) == ["seed"]
    assert [len(group) for group in groups(jobs).values()] == [2]


def test_the_mean_over_the_seeds_has_the_standard_error_of_the_mean(tmp_path):
    bounds = [-104.0, -105.0, -103.5, -104.2]
    jobs = [Job(str(i), tmp_path, {}, {"test/bound": bound}, []) for i, bound in enumerate(bounds)]
    assert Group(jobs).mean("test/bound") == pytest.approx((fmean(bounds), sem(bounds)))
    assert Group(jobs[:1]).mean("test/bound") == (-104.0, 0.0)


OF_THE_PAPER = PAPER | MNIST | {"network.hidden_sizes": [500], "dataset.train_size": None, "objective": "sgvb_b"}


@pytest.mark.parametrize("key", OF_THE_PAPER)
def test_only_a_run_that_has_every_setting_of_the_paper_is_beside_its_curve(key, tmp_path):
    """A schedule of β leaves the key `architecture.beta.final`, and none of the name `architecture.beta`."""
    results = OF_THE_PAPER | {"architecture.latent_dim": 20, "test/bound": -100.0}
    assert Job("0", tmp_path, {}, results, []).published("test") is not None
    del results[key]
    assert Job("0", tmp_path, {}, results, []).published("test") is None


def of_a_single_run(results, name, sign=1):
    """The number with the digits that its standard error over the images allows."""
    return shown(sign * results[name], results[f"{name}_standard_error"]).partition(" ± ")[0]


class TestRanks:
    @pytest.mark.usefixtures("reports")
    def test_only_like_with_like(self, run, tmp_path):
        outcome = run("-m", "architecture=ae,vae", "samples=200", *QUICK, "hydra.sweep.dir=sweep")
        assert outcome.status == 0, outcome.err
        table = [line for line in (tmp_path / "sweep" / "sweep.md").read_text().splitlines() if line.startswith("|")]
        head, _, ae, vae = ([cell.strip() for cell in line.split("|")[1:-1]] for line in table)
        numbers = [json.loads((tmp_path / "sweep" / job / "results.json").read_text()) for job in "01"]
        named = [dict(zip(head, row, strict=True)) for row in (ae, vae)]
        assert named[0]["test −nll, nats/image"] == of_a_single_run(numbers[0], "test/nll", -1)
        assert named[1]["test bound, nats/image"] == of_a_single_run(numbers[1], "test/bound")
        assert named[0]["test bound, nats/image"] == named[1]["test −nll, nats/image"] == ""
        facts = report_data(tmp_path / "sweep")["facts"]
        for job, name in (("0", "test/nll"), ("1", "test/bound")):
            best = facts[f"best job by {name}"], facts[f"best {name}"]
            assert best == (job, with_error(numbers[int(job)], name))
        assert "best job" not in facts
        labels = {series["label"] for chart in report_data(tmp_path / "sweep")["charts"] for series in chart["series"]}
        assert labels == {"ae, −nll", "vae, bound"}

    @pytest.mark.usefixtures("reports")
    def test_nor_a_bound_on_what_is_known_to_the_label(self, run, tmp_path):
        """A model that is told the label bounds log p(x|y): a column, a curve and a best job of its own."""
        words = ["architecture=vae,cvae", "architecture.latent_dim=2", "samples=300", *QUICK]
        outcome = run("-m", *words, "hydra.sweep.dir=sweep")
        assert outcome.status == 0, outcome.err
        numbers = [json.loads((tmp_path / "sweep" / job / "results.json").read_text()) for job in "01"]
        assert [job["bounds"] for job in numbers] == ["log p(x)", "log p(x|y)"]
        page = (tmp_path / "sweep" / "sweep.md").read_text()
        assert "given the labels bound log p(x|y)" in page
        table = [line.replace("x\\|y", "x¦y") for line in page.splitlines() if line.startswith("|")]
        head, _, *rows = ([cell.strip() for cell in line.split("|")[1:-1]] for line in table)
        vae, cvae = (dict(zip(head, row, strict=True)) for row in rows)
        assert vae["test bound, nats/image"] == of_a_single_run(numbers[0], "test/bound")
        assert cvae["test bound on log p(x¦y), nats/image"] == of_a_single_run(numbers[1], "test/bound")
        assert cvae["test bound, nats/image"] == vae["test bound on log p(x¦y), nats/image"] == ""
        facts = report_data(tmp_path / "sweep")["facts"]
        assert facts["best job by test/bound, given=nothing"] == "0"
        assert facts["best job by test/bound, given=the label"] == "1"
        labels = {series["label"] for chart in report_data(tmp_path / "sweep")["charts"] for series in chart["series"]}
        assert labels == {"vae, bound", "cvae, bound on log p(x|y)"}
        assert report_data(tmp_path / "sweep" / "1")["facts"]["a bound on"] == "log p(x|y)"

    def test_nor_other_images_nor_a_density_with_a_probability(self, tmp_path):
        def job(number, **own):
            results = {"status": "completed", "dataset": "mnist", "likelihood": "bernoulli", "test/bound": -100.0}
            return Job(str(number), tmp_path, {}, results | own, [])

        given = {"architecture.conditional": True}  # as earlier versions have it
        jobs = [job(0), job(1, likelihood="gaussian"), job(2, dataset="frey_face"), job(3)]
        jobs += [job(4, bounds="log p(x|y)"), job(5, **given), job(6, bounds="log p(x)")]
        names = {name: [one.number for one in members] for name, members in comparable_groups(jobs).items()}
        assert names == {
            "test/bound, dataset=mnist, likelihood=bernoulli, given=nothing": ["0", "3", "6"],
            "test/bound, dataset=mnist, likelihood=gaussian, given=nothing": ["1"],
            "test/bound, dataset=frey_face, likelihood=bernoulli, given=nothing": ["2"],
            "test/bound, dataset=mnist, likelihood=bernoulli, given=the label": ["4", "5"],
        }
        errors = {"test/bound": None, "test/error": 0.1}
        assert len(comparable_groups([job(0, **errors), job(1, likelihood="gaussian", **errors)])) == 1

    def test_a_search_says_what_would_rank_its_jobs(self, run, tmp_path):
        words = ["-m", "hydra/sweeper=optuna", "architecture=ae,vae", "dataset.validation_size=50", "samples=100"]
        words += [*QUICK, "hydra.sweeper.n_trials=6", "hydra.sweep.dir=sweep"]
        outcome = run(*words)
        assert outcome.status == 1
        assert "cannot be ranked with job 0: metric is validation/" in outcome.err
        assert "hydra.sweeper.metric=validation/nll" in outcome.err
        assert "Traceback" not in outcome.err
