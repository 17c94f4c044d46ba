"""When to evaluate, draw, save, report and stop; how is told elsewhere."""

import math
import signal
import threading
import time
from types import FrameType
from typing import Annotated, Any

import pytorch_lightning as pl
import torch
from annotated_types import Interval
from pydantic import PositiveFloat, PositiveInt
from pytorch_lightning.callbacks import EarlyStopping
from pytorch_lightning.loggers import Logger
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from vae_exp.architecture import VAE
from vae_exp.dataset import DataModule
from vae_exp.dataset.binarization import grey
from vae_exp.errors import ConfigError, Diverged, Interrupted, nearest_first
from vae_exp.evaluation import evaluate
from vae_exp.evaluation.divergence import TIMES_WORSE, diverged
from vae_exp.evaluation.marginal_likelihood import MOST_LATENTS
from vae_exp.experiment import Experiment
from vae_exp.figures import portfolio
from vae_exp.metrics import SPLITS, MetricsTable, headline, measure, told
from vae_exp.results.files import replacing
from vae_exp.run_directory import RunDirectory
from vae_exp.stopping import begin_again

FEW_IMAGES = 1000
"""Where each image's posterior is sought on its own: as many as in Figure 3 of arXiv 1312.6114."""

COLUMNS = ("samples", "step", "epoch", "seconds", "evaluation_seconds", "steps_per_second")
"""Of a row, beside the metrics of each split."""


def evaluation_points(samples: int, per_decade: int, decades: float) -> list[int]:
    """The counts ⌈10^(k/per_decade)⌉ in the last `decades` before the budget, and the budget itself.

    The counts do not depend on the budget, so that runs of different lengths meet at the same points.
    """
    first = math.ceil(per_decade * (math.log10(samples) - decades) - 1e-9)
    last = math.floor(per_decade * math.log10(samples) + 1e-9)
    return sorted(
        {min(math.ceil(10 ** (k / per_decade) - 1e-6), samples) for k in range(max(first, 0), last + 1)} | {samples}
    )


class Evaluate(pl.Callback):
    """Evaluate every split at log-spaced sample counts; write `metrics.csv` and every logger.

    To the other callbacks an evaluation is Lightning's validation: they find its row in `trainer.callback_metrics`
    and are called as there, without gradients. What they draw leaves no trace in the training.

    Args:
        per_decade: Evaluations per tenfold of samples.
        decades: How far before the end of the budget they start.
        batch_size: Images per batch of an evaluation.
        images: The first so many of each split; None for all, or for 1000 where there is no encoder and
            Hamiltonian Monte Carlo has to find the posterior of every one.
        marginal_likelihood: Estimate log p(x) too, by posterior samples (arXiv 1312.6114, appendix D); for fewer than
            five latents.
    """

    def __init__(
        self,
        per_decade: Annotated[int, Interval(gt=0, le=1000)] = 4,
        decades: PositiveFloat = 1.0,
        batch_size: PositiveInt = 1000,
        images: PositiveInt | None = None,
        marginal_likelihood: bool = False,
    ) -> None:
        self.per_decade = per_decade
        self.decades = decades
        self.batch_size = batch_size
        self.images = images
        self.marginal_likelihood = marginal_likelihood
        self.evaluation_seconds = 0.0

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Say where executions have to end.

        Raises:
            ConfigError: log p(x) is asked for, and the model is no VAE or has too many latents.
        """
        experiment, _ = _parts(trainer)
        model = experiment.architecture
        if self.marginal_likelihood and (not isinstance(model, VAE) or model.latent_dim > MOST_LATENTS):
            has = f"architecture.latent_dim={model.latent_dim}"
            if not isinstance(model, VAE):
                has = "no prior" if model.prior is None else "a label among its latents"
            raise ConfigError(
                f"callbacks.evaluate.marginal_likelihood=true: is for a VAE with at most {MOST_LATENTS} latents; this "
                f"model has {has}"
            )
        experiment.goals = evaluation_points(experiment.samples, self.per_decade, self.decades)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock; forget rows that were written after the checkpoint that the run goes on from."""
        experiment, _ = _parts(trainer)
        self._started = time.perf_counter() - experiment.seconds
        self._table = MetricsTable(RunDirectory(trainer.default_root_dir).metrics, until=experiment.samples_seen)
        self._goals = [goal for goal in experiment.goals if goal > experiment.samples_seen]

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Evaluate where a point is reached."""
        experiment, _ = _parts(trainer)
        experiment.seconds = time.perf_counter() - self._started
        if not self._goals or experiment.samples_seen < self._goals[0]:
            return
        self._goals = [goal for goal in self._goals if goal > experiment.samples_seen]
        self._evaluate(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Evaluate where a callback stopped the run between two points."""
        experiment, _ = _parts(trainer)
        if trainer.should_stop and experiment.metrics.get("samples") != experiment.samples_seen:
            self._evaluate(trainer)

    def names(self, experiment: Experiment, data: DataModule) -> list[str]:
        """Of the metrics of a row, found by evaluating two images of each split."""
        model, splits = experiment.architecture, data.splits
        found = [evaluate(model, data.evaluation_batches(split, 2, 2), 0, self.marginal_likelihood) for split in splits]
        # the first images of a split may have no label
        of_any_split = dict.fromkeys(name for values in found for name in ("images", *values))
        return [*COLUMNS, *(f"{split}/{name}" for split in splits for name in of_any_split)]

    def _evaluate(self, trainer: pl.Trainer) -> None:
        """One row; the callbacks hear of it as of a validation."""
        experiment, data = _parts(trainer)
        _call(trainer, "on_validation_start")
        _call(trainer, "on_validation_epoch_start")
        row = self._row(experiment, data)
        self._table.append(row)
        experiment.log_row(row)
        _check_finite(experiment, row)
        if experiment.samples_seen >= experiment.samples:
            self._check_end(experiment, data, row)
        trainer.callback_metrics.update({name: torch.tensor(value, dtype=torch.float64) for name, value in row.items()})
        _call(trainer, "on_validation_epoch_end")
        _check_monitored(trainer)
        _call(trainer, "on_validation_end")

    def _row(self, experiment: Experiment, data: DataModule) -> dict[str, float]:
        row: dict[str, float] = {}
        model = experiment.architecture
        images = self.images or (None if model.amortized else FEW_IMAGES)
        for split in data.splits:
            batches = data.evaluation_batches(split, self.batch_size, images)
            values = evaluate(model, batches, marginal_likelihood=self.marginal_likelihood)
            row |= {f"{split}/images": len(batches.images)}
            row |= {f"{split}/{name}": value for name, value in values.items()}
        now = time.perf_counter() - self._started
        self.evaluation_seconds += now - experiment.seconds
        experiment.seconds = now
        row["steps_per_second"] = experiment.steps / (experiment.seconds - self.evaluation_seconds)
        experiment.metrics = {
            "samples": experiment.samples_seen,
            "step": experiment.steps,
            "epoch": experiment.samples_seen / len(data.splits["train"]),
            "seconds": experiment.seconds,
            "evaluation_seconds": self.evaluation_seconds,
            **row,
        }
        return experiment.metrics

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Let callbacks that count evaluations go on counting."""
        begin_again(trainer.callbacks, checkpoint)  # type: ignore[attr-defined]

    def _check_end(self, experiment: Experiment, data: DataModule, row: dict[str, float]) -> None:
        """Raise Diverged where the last numbers are finite and absurd; before the end they may still recover."""
        x = grey(data.splits["train"][: self.batch_size].pixels)
        absurd = diverged(row, experiment.architecture, x)
        if absurd:
            values = ", ".join(f"{name} = {value:.3g}" for name, value in absurd.items())
            raise Diverged(
                f"The training ends with {values} nats per image: more than {TIMES_WORSE:,} times what a model costs "
                f"that has learned nothing. {experiment.advice()}"
            )

    def state_dict(self) -> dict[str, Any]:
        """The clock, so that a resumed run counts all of its time."""
        return {"evaluation_seconds": self.evaluation_seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the clock."""
        self.evaluation_seconds = state_dict["evaluation_seconds"]


class DrawFigures(pl.Callback):
    """Draw every figure that the model has, once it is trained; save them and give them to the loggers.

    Args:
        images: How many test images are encoded for the latent scatter.
        manifold_side: Images per side of the manifold of two latents.
    """

    def __init__(self, images: PositiveInt = 5000, manifold_side: Annotated[int, Interval(gt=0, le=200)] = 20) -> None:
        self.images = images
        self.manifold_side = manifold_side

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw."""
        experiment, data = _parts(trainer)
        self.draw(experiment, data, RunDirectory(trainer.default_root_dir), trainer.loggers)

    def draw(self, experiment: Experiment, data: DataModule, directory: RunDirectory, loggers: list[Logger]) -> None:
        """Draw from generators of its own, so that drawing leaves no trace."""
        model = experiment.architecture.eval()
        images = self.images if model.amortized else min(self.images, FEW_IMAGES)
        x, y = next(iter(data.evaluation_batches("test", images)))
        title = f"{directory.name}, $N_z$ = {model.latent_dim}, {experiment.samples_seen:,} samples"
        with torch.random.fork_rng([x.device] if x.device.type == "cuda" else []):
            torch.manual_seed(experiment.seed)
            for name, figure in portfolio(model, (x, y), title, self.manifold_side):
                path = directory.figures / f"{name}.png"
                with replacing(path) as file:
                    figure.savefig(file, dpi=150, bbox_inches="tight")
                for logger in loggers:
                    if hasattr(logger, "log_image"):
                        logger.log_image(f"figures/{name}", [str(path)])
        model.train()


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
        experiment, _ = _parts(trainer)
        self._saved = (experiment.samples_seen, time.monotonic())
        if not experiment.samples_seen:
            self._save_last(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the best; the last one when the other callbacks are done with this step."""
        experiment, data = _parts(trainer)
        self._evaluated = True
        _, score = headline(experiment.metrics, "validation" if "validation" in data.splits else "train")
        if score > self.best:
            self.best = score
            self._save(trainer, "best")

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save if it was evaluated just now, or if it is time."""
        experiment, _ = _parts(trainer)
        ended = experiment.samples_seen >= experiment.samples
        if self._evaluated or ended or time.monotonic() - self._saved[1] > self.every_seconds:
            self._save_last(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save where a callback stopped the run between two evaluations."""
        experiment, _ = _parts(trainer)
        if self._evaluated or self._saved[0] != experiment.samples_seen:
            self._save_last(trainer)

    def state_dict(self) -> dict[str, Any]:
        """The best score so far."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the best score so far."""
        self.best = state_dict["best"]

    def _save_last(self, trainer: pl.Trainer) -> None:
        experiment, _ = _parts(trainer)
        self._save(trainer, "last")
        self._evaluated, self._saved = False, (experiment.samples_seen, time.monotonic())

    def _save(self, trainer: pl.Trainer, name: str) -> None:
        trainer.save_checkpoint(RunDirectory(trainer.default_root_dir).checkpoints / f"{name}.ckpt")


class StopOnSignal(pl.Callback):
    """At SIGINT or SIGTERM finish the step, save, and end with directions; a second signal ends at once."""

    signals = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.received: int | None = None
        self._previous: dict[int, Any] = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take the signals over; outside the main thread a launcher has its own way to stop its jobs."""
        if threading.current_thread() is threading.main_thread():
            self._experiment, _ = _parts(trainer)
            self._previous = {number: signal.signal(number, self._receive) for number in self.signals}

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """End between two steps."""
        experiment, _ = _parts(trainer)
        if self.received is not None and experiment.samples_seen < experiment.samples:
            directory = RunDirectory(trainer.default_root_dir)
            trainer.save_checkpoint(directory.last_checkpoint)
            raise Interrupted(
                self.received,
                f"Interrupted after {experiment.samples_seen:,} of {experiment.samples:,} samples; all is saved. "
                f"Go on with:\n  {directory.go_on}",
            )

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The budget is spent: give the signals back before the figures are drawn, which a resumed run can do too."""
        self._give_back()
        if self.received is not None:
            go_on = RunDirectory(trainer.default_root_dir).go_on
            raise Interrupted(self.received, f"Interrupted before the figures; all is saved. Go on with:\n  {go_on}")

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Give the signals back."""
        self._give_back()

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        self._experiment.stop_requested = True  # not only after the execution, which may be many updates
        self._give_back()

    def _give_back(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}


class Progress(pl.callbacks.ProgressBar):
    """A line per evaluation, and on a terminal a bar: samples, samples/s, the last test bound, the time left."""

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
        experiment, _ = _parts(trainer)
        console = Console(quiet=not self._enabled)
        self._bar = Bar(
            BarColumn(bar_width=24),
            TextColumn("{task.completed:,.0f}/{task.total:,.0f} samples  {task.fields[speed]}  {task.fields[score]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.file.isatty(),  # FORCE_COLOR is no terminal
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
        """Move the bar four times a second."""
        experiment, _ = _parts(trainer)
        assert self._bar is not None
        now, (then, seen) = time.perf_counter(), self._since
        if now - then > 0.25 or experiment.samples_seen == experiment.samples:
            speed = (experiment.samples_seen - seen) / (now - then)
            self._bar.update(self._task, completed=experiment.samples_seen, speed=f"{speed:,.0f} samples/s")
            self._since = (now, experiment.samples_seen)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the evaluation."""
        experiment, _ = _parts(trainer)
        assert self._bar is not None
        self._bar.console.print(_line(experiment.metrics), highlight=False, soft_wrap=True)
        self._bar.update(self._task, score=told(experiment.metrics, "test"))

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the finished bar where it is."""
        self._stop()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Leave the terminal clean."""
        self._stop()

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()


def _call(trainer: pl.Trainer, hook: str) -> None:
    """Call one of the hooks of a validation, as Lightning does around its own."""
    experiment, _ = _parts(trainer)
    device, training = experiment.device, experiment.architecture.training
    experiment.architecture.eval()
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        with torch.no_grad(), torch.random.fork_rng([device] if device.type == "cuda" else []):
            getattr(callback, hook)(trainer, experiment)
    experiment.architecture.train(training)


def _check_monitored(trainer: pl.Trainer) -> None:
    """Only now is it known what a user's callback logs."""
    names = trainer.callback_metrics
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, EarlyStopping) and callback.strict and callback.monitor not in names:
            nearest = nearest_first(callback.monitor, names)
            raise ConfigError(
                f"callbacks: nothing logs {callback.monitor}, which EarlyStopping monitors. Did you mean {nearest[0]}? "
                f"Allowed: {', '.join(nearest)}"
            )


def _check_finite(experiment: Experiment, row: dict[str, float]) -> None:
    wrong = [name for name, value in row.items() if not math.isfinite(value)]
    if wrong:
        raise Diverged(
            f"The evaluation is not finite at step {experiment.steps:,} ({experiment.samples_seen:,} samples): "
            f"{', '.join(wrong)}. {experiment.advice()}"
        )


def _line(metrics: dict[str, float]) -> str:
    shown = [f"{metrics['samples']:>11,.0f} samples"]
    for split in SPLITS:
        name, _ = measure(metrics, split)
        if name in metrics:
            shown.append(told(metrics, split))
        if f"{split}/error" in metrics and name != f"{split}/error":
            shown.append(f"{split}/error {metrics[f'{split}/error']:7.2%}")
    return "   ".join([*shown, f"{metrics['steps_per_second']:6.0f} steps/s"])


def _parts(trainer: pl.Trainer) -> tuple[Experiment, DataModule]:
    experiment, data = trainer.lightning_module, trainer.datamodule  # type: ignore[attr-defined]
    assert isinstance(experiment, Experiment)
    assert isinstance(data, DataModule)
    return experiment, data
