"""What there is stays: a resume that fails costs nothing, no run is written over, no job is lost."""

import shutil

import pytest
from messages import contents

pytestmark = pytest.mark.usefixtures("few_digits")
QUICK = ["network.hidden_sizes=[8]", "logger=none", "callbacks.figures=null", "callbacks.evaluate.decades=0.3"]
STAGED = ["+experiment=mnist_cae_fine_tuned", "architecture.latent_dim=6", *QUICK[1:]]


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
        before = outcome.results
        assert run(f"resume={outcome.directory}").status == 0
        assert outcome.results == before | {"status": "completed", "test/bound": None}

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
