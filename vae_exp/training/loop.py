"""What happens between the updates of a run: evaluations, checkpoints, the table, the bar, and at the end figures."""

from types import MappingProxyType
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping

from vae_exp.errors import ConfigError, nearest_first
from vae_exp.results.metrics import MetricsTable, headline
from vae_exp.results.run_directory import RunDirectory
from vae_exp.training.checkpointing import Checkpoint
from vae_exp.training.drawing import DrawFigures
from vae_exp.training.evaluation import Evaluate, Row, check_finite_row
from vae_exp.training.experiment import Experiment, experiment_of
from vae_exp.training.progress import Progress
from vae_exp.training.stopping import reset_patience

COUNTS = ("samples", "step", "epoch", "seconds", "evaluation_seconds", "steps_per_second", "lr")
"""The values of a row that are about the run and not about the model."""


class Loop(pl.Callback):
    """Evaluates at the sample counts that are due, and passes each row on to whatever needs it.

    A row goes to the experiment, `metrics.csv`, the loggers, the callbacks of Lightning and of users, the checkpoint
    and the bar, in this order. The order of the entries in a yaml has no effect.

    For the callbacks of Lightning and of users an evaluation is a validation of Lightning: they find its row in
    `trainer.callback_metrics`, and their validation hooks are called without gradients. Random numbers that they draw
    do not change the training. Lightning must call this callback after theirs, so that a checkpoint has their state.

    Args:
        evaluate: Computes the metrics; None to evaluate nothing.
        checkpoint: Saves the run; None to save nothing.
        progress: Shows the progress; None to show nothing.
        figures: Draws the figures when the training ends; None to draw nothing.
    """

    def __init__(
        self,
        evaluate: Evaluate | None,
        checkpoint: Checkpoint | None,
        progress: Progress | None,
        figures: DrawFigures | None,
    ) -> None:
        self.evaluate = evaluate
        self.checkpoint = checkpoint
        self.progress = progress
        self.figures = figures
        self.evaluation_seconds = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remove rows that were written after the checkpoint from which the run continues, save, and show the bar."""
        experiment = experiment_of(trainer)
        if self.evaluate is None and experiment.engine.schedule.by_evaluation:
            raise ConfigError("scheduler=plateau: judges by evaluations, and callbacks.evaluate=null leaves none")
        if self.evaluate is not None:
            directory = RunDirectory(trainer.default_root_dir)
            self._table = MetricsTable(directory.metrics, until=experiment.samples_seen)
            self._latents = MetricsTable(directory.kl_per_latent, until=experiment.samples_seen)
        self._goals = [goal for goal in experiment.goals if goal > experiment.samples_seen]
        if self.checkpoint is not None:
            self.checkpoint.start(trainer)
        if self.progress is not None:
            self.progress.start(experiment.samples_seen, experiment.samples)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Evaluate if the next evaluation point has been reached. Save if there is something new to save."""
        experiment = experiment_of(trainer)
        if self.progress is not None:
            self.progress.advance(experiment.samples_seen)
        is_due = bool(self._goals) and experiment.samples_seen >= self._goals[0]
        if is_due:
            self._goals = [goal for goal in self._goals if goal > experiment.samples_seen]
            row = self._evaluate(trainer)
            experiment.engine.schedule.evaluated(-headline(row, experiment.data.split_to_choose_by)[1])
        if self.checkpoint is not None:
            self.checkpoint.save_if_due(trainer, is_due or experiment.samples_seen >= experiment.samples)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Evaluate and save if a callback stopped the run between two evaluation points."""
        experiment = experiment_of(trainer)
        if self.evaluate and trainer.should_stop and experiment.metrics.get("samples") != experiment.samples_seen:
            self._evaluate(trainer)
        if self.checkpoint is not None:
            self.checkpoint.save_if_due(trainer, trainer.should_stop)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop the bar and draw the figures of the trained model."""
        self._stop_progress()
        if self.figures is not None:
            self.figures.draw(experiment_of(trainer), RunDirectory(trainer.default_root_dir), trainer.loggers)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Stop the bar, so that the terminal works as before."""
        self._stop_progress()

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Prepare the saved states of callbacks that count evaluations, so that they continue to count."""
        states = checkpoint.get("callbacks", {})
        reset_patience(trainer.callbacks, states)  # type: ignore[attr-defined]
        if self.state_key not in states:  # before there was a loop, its parts were callbacks with states of their own
            self.load_state_dict({**states.get("Evaluate", {}), **states.get("Checkpoint", {})})

    @property
    def state_key(self) -> str:
        """The name of the loop's state in a checkpoint. A user's callback may be called Loop too."""
        return "vae_exp.Loop"

    def state_dict(self) -> dict[str, Any]:
        """Return the seconds spent on evaluations and the best score, so that a resumed run continues with them."""
        best = {} if self.checkpoint is None else {"best": self.checkpoint.best}
        return {"evaluation_seconds": self.evaluation_seconds, **best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue with the saved seconds and the saved best score."""
        self.evaluation_seconds = state_dict.get("evaluation_seconds", 0.0)
        if self.checkpoint is not None and "best" in state_dict:
            self.checkpoint.go_on_from(state_dict["best"])

    def _evaluate(self, trainer: pl.Trainer) -> Row:
        """Evaluate once, pass the row on, and call the validation hooks of the callbacks."""
        assert self.evaluate is not None
        experiment = experiment_of(trainer)
        _call(trainer, "on_validation_start")
        _call(trainer, "on_validation_epoch_start")
        row, latents = self._row(experiment, self.evaluate)
        experiment.evaluated(row)
        self._table.append(row)
        experiment.log_row(row)
        check_finite_row(row, experiment.advice())
        self._keep(latents, experiment)
        if experiment.samples_seen >= experiment.samples:
            self.evaluate.check_end(row, experiment.architecture, experiment.data, experiment.advice())
        trainer.callback_metrics.update({name: torch.tensor(value, dtype=torch.float64) for name, value in row.items()})
        _call(trainer, "on_validation_epoch_end")
        _check_monitored(trainer)
        _call(trainer, "on_validation_end")
        if self.checkpoint is not None:
            self.checkpoint.save_if_best(trainer, row)
        if self.progress is not None:
            self.progress.show(row)
        return row

    def _row(self, experiment: Experiment, evaluate: Evaluate) -> tuple[Row, dict[str, list[float]]]:
        started = experiment.clock.seconds
        at_end = experiment.samples_seen >= experiment.samples
        values, latents = evaluate(experiment.architecture, experiment.data, at_end)
        seconds = experiment.clock.seconds
        self.evaluation_seconds += seconds - started
        row = MappingProxyType(
            {
                "samples": experiment.samples_seen,
                "step": experiment.steps,
                "epoch": experiment.samples_seen / len(experiment.data.splits["train"]),
                "seconds": seconds,
                "evaluation_seconds": self.evaluation_seconds,
                **experiment.engine.schedule.values(experiment.samples_seen),
                **values,
                "steps_per_second": experiment.steps / (seconds - self.evaluation_seconds),
            }
        )
        return row, latents

    def _keep(self, latents: dict[str, list[float]], experiment: Experiment) -> None:
        """Write the KL of every latent into its table, and pass it on to the loggers."""
        if not latents:
            return
        columns = {f"{name}/{i}": value for name, values in latents.items() for i, value in enumerate(values)}
        self._latents.append({"samples": experiment.samples_seen, **columns})
        for logger in experiment.loggers:
            if hasattr(logger, "log_histograms"):
                logger.log_histograms(latents, experiment.samples_seen, experiment.steps)

    def _stop_progress(self) -> None:
        if self.progress is not None:
            self.progress.stop()


def _call(trainer: pl.Trainer, hook: str) -> None:
    """Call a validation hook of every callback, as Lightning does in its own validation."""
    experiment = experiment_of(trainer)
    device, training = experiment.device, experiment.architecture.training
    experiment.architecture.eval()
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        with torch.no_grad(), torch.random.fork_rng([device] if device.type == "cuda" else []):
            getattr(callback, hook)(trainer, experiment)
    experiment.architecture.train(training)


def _check_monitored(trainer: pl.Trainer) -> None:
    """Refuse a monitored metric that nothing logs. What a user's callback logs is known only after an evaluation."""
    names = trainer.callback_metrics
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, EarlyStopping) and callback.strict and callback.monitor not in names:
            nearest = nearest_first(callback.monitor, names)
            raise ConfigError(
                f"callbacks: nothing logs {callback.monitor}, which EarlyStopping monitors. Did you mean {nearest[0]}? "
                f"Allowed: {', '.join(nearest)}"
            )
