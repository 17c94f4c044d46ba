"""Stop a run at SIGINT and SIGTERM, so that it can be resumed."""

import signal
import threading
from types import FrameType
from typing import Any

import pytorch_lightning as pl

from vae_exp.errors import Interrupted
from vae_exp.results.run_directory import RunDirectory
from vae_exp.training.experiment import experiment_of
from vae_exp.training.turns import current_place


class StopOnSignal(pl.Callback):
    """At SIGINT or SIGTERM finish the update, save, and show how to resume. A second signal ends the run at once."""

    signals = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.received: int | None = None
        self._previous: dict[int, Any] = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Install the handlers in the main thread only: in other threads a launcher stops its jobs in its own way."""
        self._experiment = experiment_of(trainer)
        if (place := current_place()) is not None:
            place.listen(self._receive)
        elif threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._receive) for number in self.signals}

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save and stop the run if a signal was received and the budget is not spent."""
        experiment = experiment_of(trainer)
        if self.received is not None and experiment.samples_seen < experiment.samples:
            directory = RunDirectory(trainer.default_root_dir)
            trainer.save_checkpoint(directory.last_checkpoint)
            raise Interrupted(
                self.received,
                f"Interrupted after {experiment.samples_seen:,} of {experiment.samples:,} samples; all is saved. "
                f"Go on with:\n  {directory.resume_command}",
            )

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restore the handlers before the figures are drawn. After a signal stop here: a resumed run can draw them."""
        self._restore_handlers()
        if self.received is not None:
            resume_command = RunDirectory(trainer.default_root_dir).resume_command
            raise Interrupted(
                self.received, f"Interrupted before the figures; all is saved. Go on with:\n  {resume_command}"
            )

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Restore the previous signal handlers."""
        self._restore_handlers()

    def _receive(self, number: int, frame: FrameType | None = None) -> None:
        self.received = number
        self._experiment.stop()  # stop before the end of the execution, which may be many updates away
        self._restore_handlers()

    def _restore_handlers(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}
