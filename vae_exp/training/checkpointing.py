"""When to save `last.ckpt` and `best.ckpt`."""

import math
import time
from typing import Any

import pytorch_lightning as pl
from pydantic import PositiveFloat

from vae_exp.results.metrics import headline
from vae_exp.results.run_directory import RunDirectory
from vae_exp.training.experiment import experiment_of


class Checkpoint(pl.callbacks.Checkpoint):
    """Save `last.ckpt` at the start, at every evaluation and every so many seconds; `best.ckpt` beside it.

    The best is chosen by the validation split where there is one, else by the training split: never by the test
    split, whose bound would then no longer be that of unseen images.

    Args:
        every_seconds: At most so much work is lost when a run is killed.
    """

    def __init__(self, every_seconds: PositiveFloat = 60.0) -> None:
        self.every_seconds = every_seconds
        self.best = -math.inf
        self._evaluated = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A run that is killed early can be resumed too."""
        experiment = experiment_of(trainer)
        self._saved = (experiment.samples_seen, time.monotonic())
        if not experiment.samples_seen:
            self._save_last(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the best; the last one when the other callbacks are done with this step."""
        experiment = experiment_of(trainer)
        self._evaluated = True
        _, score = headline(experiment.metrics, "validation" if "validation" in experiment.data.splits else "train")
        if score > self.best:
            self.best = score
            self._save(trainer, "best")

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save if it was evaluated just now, or if it is time."""
        experiment = experiment_of(trainer)
        ended = experiment.samples_seen >= experiment.samples
        if self._evaluated or ended or time.monotonic() - self._saved[1] > self.every_seconds:
            self._save_last(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save where a callback stopped the run between two evaluations."""
        experiment = experiment_of(trainer)
        if self._evaluated or self._saved[0] != experiment.samples_seen:
            self._save_last(trainer)

    def state_dict(self) -> dict[str, Any]:
        """The best score so far."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the best score so far."""
        self.best = state_dict["best"]

    def _save_last(self, trainer: pl.Trainer) -> None:
        experiment = experiment_of(trainer)
        self._save(trainer, "last")
        self._evaluated, self._saved = False, (experiment.samples_seen, time.monotonic())

    def _save(self, trainer: pl.Trainer, name: str) -> None:
        trainer.save_checkpoint(RunDirectory(trainer.default_root_dir).checkpoints / f"{name}.ckpt")
