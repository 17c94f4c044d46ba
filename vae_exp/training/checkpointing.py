"""Save `last.ckpt` and `best.ckpt` during training."""

import math
import time

import pytorch_lightning as pl
from pydantic import PositiveFloat

from vae_exp.results.metrics import headline
from vae_exp.results.run_directory import RunDirectory
from vae_exp.training.evaluation import Row
from vae_exp.training.experiment import experiment_of


class Checkpoint:
    """Saves `last.ckpt` at the start, at every evaluation and at intervals, and `best.ckpt` at a new best score.

    The best model is chosen by the validation split if there is one, otherwise by the training split. It is never
    chosen by the test split: the test bound would then no longer be that of unseen images.

    Args:
        every_seconds: Seconds between two saves. A run that is killed loses at most about this much work.

    Attributes:
        best: The best score so far; higher is better.
    """

    def __init__(self, every_seconds: PositiveFloat = 60.0) -> None:
        self.every_seconds = every_seconds
        self.best = -math.inf

    def go_on_from(self, best: float) -> None:
        """Continue with the best score of the checkpoint from which the run continues."""
        self.best = best

    def start(self, trainer: pl.Trainer) -> None:
        """Save a new run at once, so that it can be resumed even if it is killed early."""
        self._saved_at = time.monotonic()
        if not experiment_of(trainer).samples_seen:
            self._save_last(trainer)

    def save_if_best(self, trainer: pl.Trainer, row: Row) -> None:
        """Save `best.ckpt` if an evaluation has a new best score."""
        _, score = headline(row, experiment_of(trainer).data.split_to_choose_by)
        if score > self.best:
            self.best = score
            self._save(trainer, "best")

    def save_if_due(self, trainer: pl.Trainer, is_due: bool) -> None:
        """Save `last.ckpt` if it is due, or if the last save is too long ago."""
        if is_due or time.monotonic() - self._saved_at > self.every_seconds:
            self._save_last(trainer)

    def _save_last(self, trainer: pl.Trainer) -> None:
        self._save(trainer, "last")
        self._saved_at = time.monotonic()

    def _save(self, trainer: pl.Trainer, name: str) -> None:
        trainer.save_checkpoint(RunDirectory(trainer.default_root_dir).checkpoints / f"{name}.ckpt")
