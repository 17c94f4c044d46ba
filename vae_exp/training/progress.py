"""Show the progress of a run on the terminal."""

import time
from typing import Any

import pytorch_lightning as pl
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from vae_exp.results.metrics import SPLITS, format_headline, measure
from vae_exp.training.experiment import experiment_of


class Progress(pl.callbacks.ProgressBar):
    """Print a line per evaluation. On a terminal, also show a bar: samples, samples/s, last test bound, time left."""

    def __init__(self) -> None:
        super().__init__()
        self._bar: Bar | None = None
        self._enabled = True

    def disable(self) -> None:
        """Print nothing (Lightning's own switch)."""
        self._enabled = False

    def enable(self) -> None:
        """Print again."""
        self._enabled = True

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the bar."""
        experiment = experiment_of(trainer)
        console = Console(quiet=not self._enabled)
        self._bar = Bar(
            BarColumn(bar_width=24),
            TextColumn("{task.completed:,.0f}/{task.total:,.0f} samples  {task.fields[speed]}  {task.fields[score]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.file.isatty(),  # rich would take FORCE_COLOR for a terminal
            refresh_per_second=4,
        )
        self._bar.start()
        self._task = self._bar.add_task(
            "", total=experiment.samples, completed=experiment.samples_seen, speed="", score=""
        )
        self._since = (time.perf_counter(), experiment.samples_seen)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Update the bar, at most four times per second."""
        experiment = experiment_of(trainer)
        assert self._bar is not None
        now, (last_time, last_samples) = time.perf_counter(), self._since
        if now - last_time > 0.25 or experiment.samples_seen == experiment.samples:
            speed = (experiment.samples_seen - last_samples) / (now - last_time)
            self._bar.update(self._task, completed=experiment.samples_seen, speed=f"{speed:,.0f} samples/s")
            self._since = (now, experiment.samples_seen)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print a line with the metrics of the evaluation."""
        experiment = experiment_of(trainer)
        assert self._bar is not None
        self._bar.console.print(_line(experiment.metrics), highlight=False, soft_wrap=True)
        self._bar.update(self._task, score=format_headline(experiment.metrics, "test"))

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop the bar. The finished bar stays on the terminal."""
        self._stop()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Stop the bar, so that the terminal works as before."""
        self._stop()

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()


def _line(metrics: dict[str, float]) -> str:
    columns = [f"{metrics['samples']:>11,.0f} samples"]
    for split in SPLITS:
        name, _ = measure(metrics, split)
        if name in metrics:
            columns.append(format_headline(metrics, split))
        if f"{split}/error" in metrics and name != f"{split}/error":
            columns.append(f"{split}/error {metrics[f'{split}/error']:7.2%}")
    return "   ".join([*columns, f"{metrics['steps_per_second']:6.0f} steps/s"])
