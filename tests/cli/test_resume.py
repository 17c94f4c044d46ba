import json

import pytest
import torch
from messages import refused

QUICK = ["samples=200", "logger=none", "callbacks.figures=null"]
pytestmark = pytest.mark.usefixtures("few_digits")


class TestResume:
    def test_of_nothing(self, run, tmp_path):
        refused(run(f"resume={tmp_path / 'nothing'}"), "resume=", "not a run directory")

    @pytest.mark.parametrize("within", ["checkpoints/last.ckpt", "results.json", ".hydra"])
    def test_of_a_file_in_a_run_names_the_run(self, run, tmp_path, within):
        (tmp_path / "mine" / ".hydra").mkdir(parents=True)
        (tmp_path / "mine" / ".hydra" / "config.yaml").touch()
        for words in ([f"resume=mine/{within}"], [f"start_from=mine/{within}", *QUICK]):
            refused(run(*words), words[0], "Did you mean mine?")

    def test_of_a_variable_that_is_not_set(self, run):
        refused(run("resume=", *QUICK), "resume=: a value is needed, and this one is empty")

    @pytest.mark.parametrize("name", ['say "x"', "it's", "lr=0.1,seed=0 (copy)"])
    def test_of_a_directory_with_signs_in_its_name(self, run, tmp_path, name):
        outcome = run(*QUICK)
        named = outcome.directory.rename(tmp_path / name)
        resumed = run(f"resume={named}", "samples=300")
        assert resumed.status == 0, resumed.err
        assert json.loads((named / "results.json").read_text())["samples"] == 300

    def test_of_an_unreadable_checkpoint(self, run):
        outcome = run(*QUICK)
        (outcome.directory / "results.json").unlink()
        last = outcome.directory / "checkpoints" / "last.ckpt"
        last.write_bytes(last.read_bytes()[:5000])
        refused(run(f"resume={outcome.directory}"), "last.ckpt", "damaged")
        last.unlink()
        refused(run(f"resume={outcome.directory}"), "last.ckpt", "no checkpoint")

    def test_of_a_foreign_checkpoint(self, run):
        outcome = run(*QUICK)
        torch.save({"state_dict": {}}, outcome.directory / "checkpoints" / "last.ckpt")
        refused(run(f"resume={outcome.directory}", "samples=400"), "another program")

    def test_with_another_configuration(self, run):
        outcome = run(*QUICK)
        before = (outcome.directory / ".hydra" / "config.yaml").read_bytes()
        other = run(f"resume={outcome.directory}", "architecture.latent_dim=3")
        assert other.status == 1
        assert "architecture.latent_dim: is 20" in other.err
        assert (outcome.directory / ".hydra" / "config.yaml").read_bytes() == before
        assert outcome.results["status"] == "completed"

    def test_of_a_finished_run_does_nothing(self, run):
        outcome = run(*QUICK)
        before = (outcome.directory / "results.json").read_bytes()
        assert run(f"resume={outcome.directory}").status == 0
        assert (outcome.directory / "results.json").read_bytes() == before

    def test_of_a_sweep(self, run, tmp_path):
        refused(run(f"resume={tmp_path}", "-m"), "-m")

    def test_into_another_directory(self, run, tmp_path):
        outcome = run(*QUICK)
        refused(run(f"+resume={outcome.directory}", f"hydra.run.dir={tmp_path / 'other'}"), "hydra.run.dir")

    def test_with_a_smaller_budget(self, run):
        outcome = run(*QUICK)
        other = run(f"resume={outcome.directory}", "samples=100")
        assert other.status == 1
        assert "samples=100" in other.err
        assert outcome.results["status"] == "completed"

    def test_shows_its_config(self, run):
        outcome = run(*QUICK, "seed=17")
        shown = run("--cfg", "job", f"resume={outcome.directory}")
        assert shown.status == 0
        assert "seed: 17" in shown.out
