"""Callbacks that stop a run."""

import os
import signal

import pytest
import pytorch_lightning as pl
import torch
from pages import report_data

import vae_exp
from vae_exp.errors import ConfigError
from vae_exp.results.metrics import read_metrics
from vae_exp.training.stopping import patience

SIZES = ["network.hidden_sizes=[20]", "architecture.latent_dim=2", "dataset.validation_size=100"]
OFTEN = ["samples=1000", "callbacks.evaluate.per_decade=10", "callbacks.evaluate.decades=0.5"]
QUICK = [*SIZES, *OFTEN, "logger=none", "callbacks.figures=null"]
EARLY_STOPPING = "+callbacks.stop._target_=pytorch_lightning.callbacks.EarlyStopping"
STOP = [EARLY_STOPPING, "+callbacks.stop.monitor=validation/bound"]
IMPATIENT = [*STOP, "+callbacks.stop.min_delta=1e5", "+callbacks.stop.patience=2"]
STOPPED = "EarlyStopping: validation/bound has not improved for 2 evaluations"
CLOCK = {"seconds", "evaluation_seconds", "steps_per_second"}
pytestmark = pytest.mark.usefixtures("few_digits")


def lightnings(name, *settings):
    return [f"+callbacks.mine._target_=pytorch_lightning.callbacks.{name}", *(f"+callbacks.mine.{s}" for s in settings)]


def numbers(directory):
    return [{k: v for k, v in row.items() if k not in CLOCK} for row in read_metrics(directory / "metrics.csv")]


def state_of(directory):
    return torch.load(directory / "checkpoints" / "last.ckpt", weights_only=True)


class Interrupt(pl.Callback):
    """A signal, or a fault, after so many samples."""

    def __init__(self, at, kill=False):
        self.at, self.kill = at, kill

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if pl_module.samples_seen >= self.at:
            if self.kill:
                raise RuntimeError("power cut")
            os.kill(os.getpid(), signal.SIGINT)


class TestPatience:
    """The early stopping that one key turns on."""

    def test_monitors_what_ranks_the_model_and_leaves_when_it_is_turned_off(self, run):
        words = ["architecture=ae", "callbacks/stop=patience", "callbacks.stop.min_delta=1e5", *QUICK]
        stopped = run(*words)
        assert stopped.status == 0, stopped.err
        assert stopped.results["stopped_by"] == "EarlyStopping: validation/nll has not improved for 3 evaluations"
        assert run(f"resume={stopped.directory}", "callbacks.stop=null").status == 0
        assert (stopped.results["samples"], stopped.results["stopped_by"]) == (1000, None)

    def test_needs_a_validation_split(self, run):
        outcome = run("callbacks/stop=patience", *QUICK, "dataset.validation_size=0")
        assert outcome.status == 1
        assert "callbacks.stop.monitor=validation/bound: there is no validation split" in outcome.err

    def test_judges_by_no_other_split(self):
        with pytest.raises(ConfigError, match=r"callbacks\.stop\.monitor=validation/nll"):
            patience("train/nll", "min")


class TestEarlyStopping:
    @pytest.mark.usefixtures("reports")
    def test_works_as_typed_and_says_what_stopped_a_run(self, run):
        whole = run(*STOP, *QUICK)  # the bound rises, and a higher one is better
        assert (whole.status, whole.results["samples"], whole.results["stopped_by"]) == (0, 1000, None)
        drawn = ["+callbacks.figures.images=20", "callbacks.figures.manifold_side=2"]
        outcome = run(*IMPATIENT, *[word for word in QUICK if "figures" not in word], *drawn)
        assert outcome.status == 0
        results = outcome.results
        assert (results["status"], results["error"], results["stopped_by"]) == ("completed", None, STOPPED)
        assert results["samples"] == results["evaluated_at"] == 700 < results["budget"]
        assert report_data(outcome.directory)["facts"]["stopped by"] == STOPPED
        assert f"Stopped by {STOPPED}" in outcome.out + outcome.err
        assert numbers(outcome.directory) == numbers(whole.directory)[:3]
        assert vae_exp.load_run(outcome.directory).metrics["test/bound"] == results["test/bound"]
        # killed while it was drawn, it is only finished
        (outcome.directory / "results.json").unlink()
        (outcome.directory / "figures" / "samples.png").unlink()
        assert run(f"resume={outcome.directory}").status == 0
        assert (outcome.results["samples"], outcome.results["stopped_by"]) == (700, STOPPED)
        assert (outcome.directory / "figures" / "samples.png").exists()

    def test_a_stopped_run_goes_on_with_more_samples_or_other_callbacks_only(self, run):
        stopped = run(*IMPATIENT, *QUICK)
        again = run(f"resume={stopped.directory}")
        assert f"was stopped after 700 samples by {STOPPED}" in again.out + again.err
        assert stopped.results["samples"] == 700
        assert run(f"resume={stopped.directory}", "callbacks.stop.patience=3").status == 0
        assert stopped.results["samples"] == 800  # two of the three are counted already
        assert run(f"resume={stopped.directory}", "samples=2000").status == 0
        assert (stopped.results["samples"], stopped.results["status"]) == (1600, "completed")  # three more

    def test_a_stopped_run_ends_without_its_callback_as_one_that_never_had_it(self, run):
        whole, stopped = run(*QUICK), run(*IMPATIENT, *QUICK)
        assert run(f"resume={stopped.directory}", "callbacks.stop=null").status == 0
        assert (stopped.results["samples"], stopped.results["stopped_by"]) == (1000, None)
        assert numbers(stopped.directory) == numbers(whole.directory)

    def test_the_count_survives_a_signal_and_a_kill(self, run, tmp_path):
        words = [*STOP, "+callbacks.stop.min_delta=1e5", *QUICK, "callbacks.checkpoint.every_seconds=1000"]
        cut = [f"+callbacks.cut._target_={__name__}.Interrupt", "+callbacks.cut.at=700"]
        whole = run(*words)
        assert whole.results["samples"] == 800
        again = ["callbacks.cut=null", f"trust={__name__}"]
        signalled, killed = tmp_path / "signalled", tmp_path / "killed"
        assert run(*words, *cut, directory=signalled).results["status"] == "interrupted"
        with pytest.raises(RuntimeError, match="power cut"):
            run(*words, *cut, "+callbacks.cut.kill=true", directory=killed)
        for directory in (signalled, killed):
            assert run(f"resume={directory}", *again, directory=directory).results["samples"] == 800
            assert numbers(directory) == numbers(whole.directory)

    def test_the_order_in_the_config_does_not_matter(self, run):
        late = [
            "~callbacks.evaluate",
            "+callbacks.evaluate={_target_: vae_exp.training.evaluation.Evaluate, per_decade: 10, decades: 0.5}",
        ]
        some = [word for word in QUICK if "evaluate" not in word]
        outcome = run(*IMPATIENT, *lightnings("ModelCheckpoint"), *some, *late)
        assert (outcome.results["samples"], outcome.results["stopped_by"]) == (700, STOPPED)
        states = state_of(outcome.directory)["callbacks"]
        assert next(state for key, state in states.items() if "EarlyStopping" in key)["wait_count"] == 2

    def test_a_sweep_counts_a_stopped_job_as_completed(self, run, tmp_path):
        outcome = run("-m", "seed=0", *IMPATIENT, *QUICK, f"hydra.sweep.dir={tmp_path / 'sweep'}")
        assert outcome.status == 0
        assert "1 of 1 jobs completed" in (tmp_path / "sweep" / "sweep.md").read_text()


def test_a_timer_stops_a_run_between_two_evaluations_and_there_it_is_evaluated(run):
    settings = [*SIZES, "samples=100000000", "logger=none", "callbacks.figures=null", "trainer.compile=false"]
    outcome = run(*lightnings("Timer", "duration=00:00:00:01"), *settings)
    assert outcome.status == 0
    assert outcome.results["stopped_by"] == "Timer: the time is over"
    assert outcome.results["evaluated_at"] == outcome.results["samples"] > 0
    assert state_of(outcome.directory)["vae_exp"]["samples_seen"] == outcome.results["samples"]
    assert "test/bound" in outcome.out
