"""Lightning's own callbacks and a user's: each works, or is refused with the reason before the training."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf

import vae_exp
from vae_exp.errors import ConfigError
from vae_exp.results.metrics import read_metrics
from vae_exp.results.run_directory import RunDirectory
from vae_exp.training.callbacks import build_callbacks

SIZES = ["network.hidden_sizes=[20]", "architecture.latent_dim=2", "dataset.validation_size=100"]
OFTEN = ["samples=1000", "callbacks.evaluate.per_decade=10", "callbacks.evaluate.decades=0.5"]
QUICK = [*SIZES, *OFTEN, "logger=none", "callbacks.figures=null"]
EARLY_STOPPING = "+callbacks.stop._target_=pytorch_lightning.callbacks.EarlyStopping"
STOP = [EARLY_STOPPING, "+callbacks.stop.monitor=validation/bound"]
CLOCK = {"seconds", "evaluation_seconds", "steps_per_second"}
pytestmark = pytest.mark.usefixtures("few_digits")


def lightnings(name, *settings):
    return [f"+callbacks.mine._target_=pytorch_lightning.callbacks.{name}", *(f"+callbacks.mine.{s}" for s in settings)]


def mine(kind, *settings):
    return [f"+callbacks.mine._target_={__name__}.{kind}", *(f"+callbacks.mine.{s}" for s in settings)]


def numbers(directory):
    return [{k: v for k, v in row.items() if k not in CLOCK} for row in read_metrics(directory / "metrics.csv")]


def state_of(directory):
    return torch.load(directory / "checkpoints" / "last.ckpt", weights_only=True)


class Diary(pl.Callback):
    """A user's own: it writes down what it is called with, draws random numbers, logs, and keeps a state."""

    def __init__(self, stop_at=10**9, path="diary.json"):
        self.stop_at, self.path, self.lines, self.batches = stop_at, Path(path), [], 0

    def on_train_start(self, trainer, pl_module):
        self.lines.append(["start", trainer.global_step])

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.batches += 1
        self.log("mine/loss", outputs["loss"])
        trainer.should_stop |= pl_module.samples_seen >= self.stop_at

    def on_validation_epoch_end(self, trainer, pl_module):
        torch.rand(100)
        assert not torch.is_grad_enabled()
        assert not pl_module.architecture.training

    def on_validation_end(self, trainer, pl_module):
        self.lines.append(["evaluation", trainer.global_step, trainer.callback_metrics["test/nll"].item()])

    def on_train_end(self, trainer, pl_module):
        self.path.write_text(json.dumps([*self.lines, ["end", trainer.global_step]]))

    def state_dict(self):
        return {"lines": self.lines, "batches": self.batches}

    def load_state_dict(self, state_dict):
        self.lines, self.batches = state_dict["lines"], state_dict["batches"]


class Unloadable(pl.Callback):
    def state_dict(self):
        return {"path": Path("x")}


class PerUpdate(pl.Callback):
    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        raise AssertionError


class TestModelCheckpoint:
    def test_keeps_the_best_in_a_folder_of_its_own(self, run):
        settings = ["monitor=validation/bound", "save_top_k=2", "save_last=true"]
        outcome = run(*lightnings("ModelCheckpoint", *settings), *QUICK)
        assert outcome.status == 0
        folder = outcome.directory / "checkpoints"
        assert {path.name for path in folder.glob("*.ckpt")} == {"best.ckpt", "last.ckpt"}
        rows = read_metrics(outcome.directory / "metrics.csv")
        best = sorted(rows, key=lambda row: row["validation/bound"])[-2:]
        names = {f"epoch={int(row['epoch'])}-step={row['step']}.ckpt" for row in best}
        assert {path.name for path in (folder / "mine").iterdir()} == names | {"last.ckpt"}
        loaded = vae_exp.load_run(outcome.directory, checkpoint="mine/last", trust="pytorch_lightning")
        model = vae_exp.load_run(outcome.directory, trust="pytorch_lightning").model
        assert all(map(torch.equal, loaded.model.parameters(), model.parameters()))
        # and goes on where it was
        assert run(f"resume={outcome.directory}", "samples=1300", "trust=pytorch_lightning").status == 0
        assert len([*(folder / "mine").glob("epoch*.ckpt")]) == 2

    def test_saves_the_latest_where_nothing_is_monitored(self, run):
        outcome = run(*lightnings("ModelCheckpoint"), *QUICK, "logger=tensorboard")
        folder = outcome.directory / "checkpoints" / "mine"
        assert [path.name for path in folder.iterdir()] == ["epoch=3-step=10.ckpt"]


@pytest.mark.skipif(find_spec("tensorboard") is None, reason="the extra tensorboard is not installed")
def test_what_logs_on_its_own_logs_at_lightnings_step(run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    words = [*lightnings("LearningRateMonitor"), "+callbacks.diary._target_=" + __name__ + ".Diary"]
    every = ["trainer.log_every_n_steps=1", "trainer.steps_per_execution=1"]
    outcome = run(*words, *every, *QUICK, "logger=many")
    assert outcome.status == 0, outcome.err
    events = EventAccumulator(str(outcome.directory / "tensorboard"))
    events.Reload()
    steps = {name: [event.step for event in events.Scalars(name)] for name in events.Tags()["scalars"]}
    assert steps["test/bound"] == [400, 600, 700, 800, 1000]
    assert steps["lr-Adagrad/pg1"][-1] == steps["mine/loss"][-1] == 9


def test_a_users_callback_works_and_leaves_no_trace(run, tmp_path):
    plain = run(*QUICK)
    outcome = run(*mine("Diary"), *QUICK)
    assert numbers(outcome.directory) == numbers(plain.directory)
    rows = read_metrics(outcome.directory / "metrics.csv")
    evaluations = [["evaluation", row["step"], row["test/nll"]] for row in rows]
    diary = json.loads((tmp_path / "diary.json").read_text())
    assert diary == [["start", 0], *evaluations, ["end", 10]]
    assert state_of(outcome.directory)["callbacks"]["Diary"] == {"lines": diary[:-1], "batches": 5}


def test_a_users_callback_may_stop_the_run_and_its_state_is_taken_up(run, tmp_path):
    outcome = run(*mine("Diary", "stop_at=500"), *QUICK, "trainer.steps_per_execution=1")
    assert outcome.results["stopped_by"] == "Diary: trainer.should_stop was set"
    assert outcome.results["samples"] == outcome.results["evaluated_at"] == 500
    assert run(f"resume={outcome.directory}", "callbacks.mine.stop_at=600", f"trust={__name__}").status == 0
    steps = [line[1] for line in json.loads((tmp_path / "diary.json").read_text()) if line[0] == "evaluation"]
    assert steps == [4, 5, 6]


def test_no_progress_bar_is_none_and_lightnings_may_take_its_place(run):
    bars = [run("callbacks.progress=null", *bar, *QUICK) for bar in ([], lightnings("RichProgressBar"))]
    assert [bar.status for bar in bars] == [0, 0]
    assert "Epoch" not in bars[0].out + bars[0].err
    assert "Epoch" in bars[1].out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([EARLY_STOPPING, "+callbacks.stop.monitor=test/bound"], "Use callbacks.stop.monitor=validation/bound, and"),
        ([EARLY_STOPPING, "+callbacks.stop.monitor=validation/bund"], "Did you mean validation/bound?"),
        ([EARLY_STOPPING, "+callbacks.stop.monitor=val_loss"], "Did you mean validation/nll?"),
        ([EARLY_STOPPING, "+callbacks.stop.monitor=train/kl"], "callbacks.stop.mode: a value is needed for train/kl"),
        ([*STOP, "+callbacks.stop.mode=min"], "a higher validation/bound is better: callbacks.stop.mode=max"),
        ([*STOP, "dataset.validation_size=0"], "there is no validation split: dataset.validation_size=66"),
        ([*STOP, "~callbacks.evaluate"], "callbacks.evaluate=null leaves nothing to monitor"),
        (lightnings("LearningRateMonitor"), "LearningRateMonitor needs a logger"),
        (lightnings("StochasticWeightAveraging", "swa_lrs=0.1"), "it averages the weights once per epoch"),
        (mine("PerUpdate"), "PerUpdate.on_before_optimizer_step would never be called"),
        (mine("Unloadable"), "Unloadable saves a pathlib"),
    ],
)
def test_what_cannot_work_is_refused_before_the_training(run, words, message):
    some = [word for word in QUICK if "evaluate" not in word or "~callbacks.evaluate" not in words]
    outcome = run(*some, *words)
    assert outcome.status == 1
    assert message in outcome.err
    assert "callbacks" in outcome.err
    assert "Traceback" not in outcome.err
    assert outcome.results["step"] == 0
    assert not (outcome.directory / "checkpoints" / "last.ckpt").exists()


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("EarlyStopping", {"monitor": "train/nll", "mode": "max"}, "a lower train/nll is better: callbacks.mine.mode"),
        ("EarlyStopping", {"monitor": "train/bound", "mode": "up"}, "`mode` can be min, max, got up"),
        ("EarlyStopping", {"monitor": "train/bound", "check_on_train_epoch_end": True}, "check_on_train_epoch_end: is"),
        ("ModelCheckpoint", {"every_n_train_steps": 5}, "callbacks.mine.every_n_train_steps: is not allowed"),
        ("ModelCheckpoint", {"train_time_interval": {"_target_": "datetime.timedelta", "hours": 1}}, "time_interval"),
        ("ModelCheckpoint", {"save_top_k": -3}, "callbacks.mine: Invalid value for save_top_k=-3"),
        ("Timer", {"duration": "1h"}, "DD:HH:MM:SS"),
        ("Timer", {"duration": "00:00:00:00"}, "callbacks.mine.duration: leaves no time"),
        ("DeviceStatsMonitor", {}, "needs a logger"),
        ("EMAWeightAveraging", {}, "trainer.steps_per_execution"),
        ("GradientAccumulationScheduler", {"scheduling": {0: 2}}, "dataset.batch_size"),
        ("BatchSizeFinder", {}, "dataset.batch_size"),
        ("LearningRateFinder", {}, "optimizer.lr"),
        ("BackboneFinetuning", {}, "one epoch"),
        ("ModelPruning", {"pruning_fn": "l1_unstructured"}, "one epoch"),
        ("SpikeDetection", {}, "trainer.steps_per_execution"),
        ("OnExceptionCheckpoint", {"dirpath": "x"}, "last.ckpt"),
        ("TQDMProgressBar", {}, "callbacks.progress=null"),
        ("LambdaCallback", {"on_after_backward": {"_target_": "builtins.dict"}}, "would never be called"),
        ("EarlyStopping", {"monitor": "validation/bound"}, "cannot tell its state from that of callbacks.stop"),
    ],
)
def test_so_are_these(tmp_path, name, settings, message):
    stop = {"_target_": "pytorch_lightning.callbacks.EarlyStopping", "monitor": "validation/bound"}
    other = {"_target_": f"pytorch_lightning.callbacks.{name}", **settings}
    progress = {"_target_": "vae_exp.training.progress.Progress"}
    parts = {"stop": stop, "progress": progress, "mine": other}
    config = OmegaConf.create({"callbacks": parts, "trainer": {}, "dataset": {"validation_size": 100}, "logger": None})
    with pytest.raises(ConfigError) as refusal:
        build_callbacks(config, RunDirectory(tmp_path))
    assert message in str(refusal.value)
    assert "callbacks.mine" in str(refusal.value)
    assert "\n" not in str(refusal.value)
