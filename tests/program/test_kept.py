"""What there is stays: a resume that fails costs nothing, no run is written over, no job is lost."""

import json
import shutil

import pytest
from pages import report_data

from hydra_plugins.vae_exp_optuna import _distribution
from vae_exp.config.overrides import parse_sweep
from vae_exp.results.jobs import Job, leagues

pytestmark = pytest.mark.usefixtures("few_digits")
QUICK = ["network.hidden_sizes=[8]", "logger=none", "callbacks.figures=null", "callbacks.evaluate.decades=0.3"]
STAGED = ["+experiment=mnist_cae_fine_tuned", "architecture.latent_dim=6", *QUICK[1:]]


def contents(directory):
    files = (path for path in directory.rglob("*") if path.is_file() and path.suffix != ".log")
    return {path: path.read_bytes() for path in files}


@pytest.fixture
def trained(run, tmp_path, tmp_path_factory):
    """A copy of a run of 200 samples, which is made once."""
    made = tmp_path_factory.getbasetemp() / "kept"
    if not made.exists():
        assert run("samples=200", *QUICK, directory=made).status == 0
    return shutil.copytree(made, tmp_path / "kept")


class TestResume:
    @pytest.mark.parametrize(
        "words",
        [
            ["trainer.accelerator=gpu"],
            ["callbacks.evaluate.marginal_likelihood=true"],  # found when Lightning sets up the callbacks
            ["trainer.devices=7"],
            ["optimizer.lr=-1"],
            ["architecture.latent_dim=3"],
            ["logger=wandb", "logger.project=a/b"],
            ["paths.data=/nowhere", "start_from=/nowhere", "trainer=ddp", "trainer.devices=200"],
        ],
        ids=" ".join,
    )
    def test_one_that_fails_before_it_trains_touches_nothing(self, run, trained, words, monkeypatch):
        monkeypatch.setattr("torch.cuda.is_available", lambda: False)
        before = contents(trained)
        outcome = run(f"resume={trained}", "samples=300", *words)
        assert outcome.status == 1
        assert "Traceback" not in outcome.err
        after = {path: text for path, text in contents(trained).items() if "wandb" not in path.parts}
        assert after == before
        assert run(f"resume={trained}").status == 0

    def test_one_that_trains_has_its_own_record(self, run, trained):
        outcome = run(f"resume={trained}", "samples=300")
        assert outcome.status == 0, outcome.err
        assert "samples=300" in (trained / ".hydra" / "overrides.yaml").read_text()
        assert "samples: 300" in (trained / ".hydra" / "config.yaml").read_text()

    def test_a_killed_run_is_not_called_failed(self, run, trained):
        (trained / "results.json").unlink()
        assert run(f"resume={trained}", "trainer.devices=7").status == 1
        assert not (trained / "results.json").exists()

    def test_of_a_run_that_was_not_evaluated(self, run):
        outcome = run("samples=200", *QUICK[:-1], "callbacks.evaluate=null")
        assert run(f"resume={outcome.directory}").status == 0

    def test_of_stages_that_fails_touches_nothing(self, run, monkeypatch):
        monkeypatch.setattr("torch.cuda.is_available", lambda: False)
        outcome = run("samples=100", *STAGED)
        assert outcome.status == 0, outcome.err
        before = contents(outcome.directory)
        for words, told in (
            (["trainer.accelerator=gpu"], "trainer"),
            (["stages.fine_tuning=['optimizer.lr=-1']"], "stages.fine_tuning: optimizer.lr=-1"),
            (["stages.fine_tuning=['start_from={layer9}']"], "stages.fine_tuning"),
        ):
            failed = run(f"resume={outcome.directory}", "samples=200", *words)
            assert failed.status == 1
            assert told in failed.err
            assert contents(outcome.directory) == before
        assert run(f"resume={outcome.directory}").status == 0

    def test_a_new_run_that_fails_says_so(self, run):
        outcome = run("samples=200", *QUICK, "trainer.devices=7")
        assert outcome.status == 1
        assert outcome.results["status"] == "failed"
        assert run("samples=100", *QUICK, directory=outcome.directory).status == 0


class TestNothingIsWrittenOver:
    def test_a_directory_with_results_is_a_run(self, run):
        words = ["samples=200", *QUICK, "callbacks.checkpoint=null"]
        first = run(*words)
        before = contents(first.directory)
        assert not (first.directory / "checkpoints" / "last.ckpt").exists()
        again = run(*words, directory=first.directory)
        assert again.status == 1
        assert f"{first.directory}: holds the results of a run already" in again.err
        assert contents(first.directory) == before
        (first.directory / "results.json").unlink()  # killed
        assert run(*words, directory=first.directory).status == 1
        assert (first.directory / "metrics.csv").read_bytes() == before[first.directory / "metrics.csv"]

    def test_a_new_sweep_takes_no_run_for_a_job(self, run, tmp_path):
        run("samples=100", *QUICK, directory=tmp_path / "sweep" / "0")
        before = contents(tmp_path / "sweep")
        for sweeper in (["seed=3,4"], ["hydra/sweeper=optuna", "seed=3,4", "dataset.validation_size=50"]):
            outcome = run("-m", *sweeper, "samples=100", *QUICK, "hydra.sweep.dir=sweep")
            assert outcome.status == 1
            assert "sweep/0: holds a run already" in outcome.err
            assert {path: before[path] for path in before} == {path: path.read_bytes() for path in before}
            shutil.rmtree(tmp_path / "sweep" / "1", ignore_errors=True)
            (tmp_path / "sweep" / "multirun.yaml").unlink(missing_ok=True)

    def test_nor_does_a_run_go_into_a_sweep_or_a_sweep_into_a_run(self, run, tmp_path):
        run("samples=100", *QUICK, directory=tmp_path / "one")
        outcome = run("-m", "seed=0", "samples=100", *QUICK, "hydra.sweep.dir=one")
        assert outcome.status == 1
        assert "one: holds a run already" in outcome.err
        assert run("-m", "seed=0", "samples=100", *QUICK, "hydra.sweep.dir=many").status == 0
        outcome = run("samples=100", *QUICK, directory=tmp_path / "many")
        assert outcome.status == 1
        assert "many: holds a sweep" in outcome.err

    def test_a_job_without_a_checkpoint_is_run_again_until_it_is_completed(self, run, tmp_path):
        words = ["-m", "seed=0,1", "samples=100", *QUICK, "callbacks.checkpoint=null", "hydra.sweep.dir=sweep"]
        assert run(*words).status == 0
        (tmp_path / "sweep" / "1" / "results.json").unlink()
        first = (tmp_path / "sweep" / "0" / "results.json").read_bytes()
        outcome = run("sweep.resume=sweep")
        assert outcome.status == 0, outcome.err
        assert "2 of 2 jobs completed" in outcome.out
        assert (tmp_path / "sweep" / "0" / "results.json").read_bytes() == first


class TestJobs:
    @pytest.mark.parametrize("sweeper", [[], ["hydra/sweeper=optuna", "dataset.validation_size=50"]])
    @pytest.mark.parametrize("subdir", ["${architecture.latent_dim}", "same", "."])
    def test_two_in_one_directory_are_refused_before_the_first(self, run, tmp_path, sweeper, subdir):
        words = [
            "architecture.latent_dim=2,5",
            "seed=range(3)",
            f"hydra.sweep.subdir={subdir}",
            "hydra.sweep.dir=sweep",
        ]
        outcome = run("-m", *sweeper, *words, "samples=100", *QUICK)
        assert outcome.status == 1
        assert f"hydra.sweep.subdir={subdir}: " in outcome.err
        assert "Traceback" not in outcome.err
        if not sweeper and subdir != ".":
            assert "jobs 0 and 1 would share sweep/" in outcome.err
            assert f"hydra.sweep.subdir={subdir}_${{hydra.job.num}}" in outcome.err
        assert not list(tmp_path.glob("sweep/**/checkpoints"))

    def test_nor_one_inside_another_or_outside_of_the_sweep(self, run):
        for subdir, told in (
            ("${name}", "job 1 would be inside job 0"),
            ("../${hydra.job.num}", "is no folder in sweep"),
            ("/tmp/${hydra.job.num}", "is no folder in sweep"),
        ):
            words = ["name=a,a/b", f"hydra.sweep.subdir={subdir}", "hydra.sweep.dir=sweep"]
            outcome = run("-m", *words, "samples=100", *QUICK)
            assert outcome.status == 1
            assert told in outcome.err, outcome.err

    def test_what_was_drawn_is_part_of_the_record(self, run, tmp_path):
        words = ["seed=shuffle(range(4))", "hydra.sweep.subdir=s${seed}", "samples=100", *QUICK]
        assert run("-m", *words, "hydra.sweep.dir=sweep", "trainer.devices=7").status == 1
        drawn = [job["seed"] for job in json.loads((tmp_path / "sweep" / "jobs.json").read_text())]
        assert sorted(drawn) == list("0123")
        for word in ([], ["seed=shuffle(range(4))"]):
            outcome = run("-m", "sweep.resume=sweep", *word, "trainer.devices=1", "callbacks.evaluate=null")
            assert outcome.status == 0, outcome.err
            assert "4 of 4 jobs completed" in outcome.out
        for seed in drawn:
            assert json.loads((tmp_path / "sweep" / f"s{seed}" / "results.json").read_text())["seed"] == int(seed)
        outcome = run("-m", "sweep.resume=sweep", "seed=shuffle(range(5))")
        assert outcome.status == 1
        assert "belongs to another sweep: it has 4 jobs, not 5" in outcome.err

    def test_a_search_draws_no_order(self):
        for of, values in (("range(9)", list("012345678")), ("c,a,b", list("cab"))):
            (override,) = parse_sweep(None, [f"x=shuffle({of})"])
            assert list(_distribution(override).choices) == values


class TestRanks:
    def test_only_like_with_like(self, run, tmp_path):
        outcome = run("-m", "architecture=ae,vae", "samples=200", *QUICK, "hydra.sweep.dir=sweep")
        assert outcome.status == 0, outcome.err
        table = [line for line in (tmp_path / "sweep" / "sweep.md").read_text().splitlines() if line.startswith("|")]
        head, _, ae, vae = ([cell.strip() for cell in line.split("|")[1:-1]] for line in table)
        numbers = [json.loads((tmp_path / "sweep" / job / "results.json").read_text()) for job in "01"]
        named = [dict(zip(head, row, strict=True)) for row in (ae, vae)]
        assert named[0]["test −nll, nats/image"] == f"{-numbers[0]['test/nll']:.2f}"
        assert named[1]["test bound, nats/image"] == f"{numbers[1]['test/bound']:.2f}"
        assert named[0]["test bound, nats/image"] == named[1]["test −nll, nats/image"] == ""
        facts = report_data(tmp_path / "sweep")["facts"]
        assert (facts["best job by test/nll"], facts["best test/nll"]) == ("0", numbers[0]["test/nll"])
        assert (facts["best job by test/bound"], facts["best test/bound"]) == ("1", numbers[1]["test/bound"])
        assert "best job" not in facts
        labels = {series["label"] for chart in report_data(tmp_path / "sweep")["charts"] for series in chart["series"]}
        assert labels == {"ae, −nll", "vae, bound"}

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
        assert vae["test bound, nats/image"] == f"{numbers[0]['test/bound']:.2f}"
        assert cvae["test bound on log p(x¦y), nats/image"] == f"{numbers[1]['test/bound']:.2f}"
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
        names = {name: [one.number for one in members] for name, members in leagues(jobs).items()}
        assert names == {
            "test/bound, dataset=mnist, likelihood=bernoulli, given=nothing": ["0", "3", "6"],
            "test/bound, dataset=mnist, likelihood=gaussian, given=nothing": ["1"],
            "test/bound, dataset=frey_face, likelihood=bernoulli, given=nothing": ["2"],
            "test/bound, dataset=mnist, likelihood=bernoulli, given=the label": ["4", "5"],
        }
        errors = {"test/bound": None, "test/error": 0.1}
        assert len(leagues([job(0, **errors), job(1, likelihood="gaussian", **errors)])) == 1

    def test_a_search_says_what_would_rank_its_jobs(self, run, tmp_path):
        words = ["-m", "hydra/sweeper=optuna", "architecture=ae,vae", "dataset.validation_size=50", "samples=100"]
        words += [*QUICK, "hydra.sweeper.n_trials=6", "hydra.sweep.dir=sweep"]
        outcome = run(*words)
        assert outcome.status == 1
        assert "cannot be ranked with job 0: metric is validation/" in outcome.err
        assert "hydra.sweeper.metric=validation/nll" in outcome.err
        assert "Traceback" not in outcome.err
