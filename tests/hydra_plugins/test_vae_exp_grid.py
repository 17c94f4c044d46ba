"""Where the jobs of a sweep lie, and what is recorded of them."""

import json

import pytest

pytestmark = pytest.mark.usefixtures("few_digits")
QUICK = ["network.hidden_sizes=[8]", "logger=none", "callbacks.figures=null", "callbacks.evaluate.decades=0.3"]


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


def test_a_part_that_does_not_exist_is_refused_before_the_first_job(run, tmp_path):
    """Also where it is the choice of a later job only."""
    outcome = run("-m", "seed=0,1", "network=mlp,cnv", "hydra.sweep.dir=sweep", "samples=100", *QUICK)
    assert outcome.status == 1
    assert "network=cnv" in outcome.err
    assert not (tmp_path / "sweep").exists()


@pytest.mark.parametrize("sweeper", ["grid", "optuna"])
def test_a_sweep_over_nothing_is_no_sweep(run, tmp_path, sweeper):
    words = ["seed=range(0)", f"hydra/sweeper={sweeper}", "dataset.validation_size=50", "hydra.sweep.dir=sweep"]
    outcome = run("-m", *QUICK, *words)
    assert outcome.status == 1
    assert "seed=range(0): has no value" in outcome.err
    assert not (tmp_path / "sweep" / "multirun.yaml").exists()


def test_a_grid_cannot_go_on_as_a_search(run):
    words = ["seed=0,1", "samples=100", "dataset.validation_size=50", "hydra.sweep.dir=sweep"]
    assert run("-m", *words, *QUICK).status == 0
    outcome = run("-m", "sweep.resume=sweep", "hydra/sweeper=optuna")
    assert outcome.status == 1
    assert "belongs to another sweep: it has hydra/sweeper=grid, not optuna" in outcome.err
