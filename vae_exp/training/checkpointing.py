"""Save `last.ckpt` and `best.ckpt` during training."""

import math
import time
from typing import Any

import pytorch_lightning as pl
from pydantic import PositiveFloat

from vae_exp.results.metrics import headline
from vae_exp.results.run_directory import RunDirectory
from vae_exp.training.experiment import experiment_of


class Checkpoint(pl.callbacks.Checkpoint):
    """Save `last.ckpt` at the start, at every evaluation and at regular intervals, and `best.ckpt` at a new best score.

    The best model is chosen by the validation split if there is one, otherwise by the training split. It is never
    chosen by the test split: the test bound would then no longer be that of unseen images.

    Args:
        every_seconds: Seconds between two saves. A run that is killed loses at most about this much work.
    """

    def __init__(self, every_seconds: PositiveFloat = 60.0) -> None:
        self.every_seconds = every_seconds
        self.best = -math.inf
        self._evaluated = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save a new run at once, so that it can be resumed even if it is killed early."""
        experiment = experiment_of(trainer)
        self._saved = (experiment.samples_seen, time.monotonic())
        if not experiment.samples_seen:
            self._save_last(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save `best.ckpt` at a new best score. `last.ckpt` is saved after the other callbacks of this step."""
        experiment = experiment_of(trainer)
        self._evaluated = True
        _, score = headline(experiment.metrics, "validation" if "validation" in experiment.data.splits else "train")
        if score > self.best:
            self.best = score
            self._save(trainer, "best")

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save after an evaluation, at the end of the budget, and if the last save is too long ago."""
        experiment = experiment_of(trainer)
        is_spent = experiment.samples_seen >= experiment.samples
        if self._evaluated or is_spent or time.monotonic() - self._saved[1] > self.every_seconds:
            self._save_last(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save if the run ended after the last save, for example because a callback stopped it."""
        experiment = experiment_of(trainer)
        if self._evaluated or self._saved[0] != experiment.samples_seen:
            self._save_last(trainer)

    def state_dict(self) -> dict[str, Any]:
        """Return the best score so far."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best score of the checkpoint."""
        self.best = state_dict["best"]

    def _save_last(self, trainer: pl.Trainer) -> None:
        experiment = experiment_of(trainer)
        self._save(trainer, "last")
        self._evaluated, self._saved = False, (experiment.samples_seen, time.monotonic())

    def _save(self, trainer: pl.Trainer, name: str) -> None:
        trainer.save_checkpoint(RunDirectory(trainer.default_root_dir).checkpoints / f"{name}.ckpt")
