"""Evaluate a model during training, at log-spaced sample counts."""

import math
from typing import Annotated, Any

import pytorch_lightning as pl
import torch
from annotated_types import Interval
from pydantic import PositiveFloat, PositiveInt
from pytorch_lightning.callbacks import EarlyStopping

from vae_exp.architecture import Generative, HasJoint
from vae_exp.dataset.binarization import grey
from vae_exp.errors import ConfigError, Diverged, nearest_first
from vae_exp.evaluation import evaluate
from vae_exp.evaluation.divergence import TIMES_WORSE, diverged
from vae_exp.evaluation.marginal_likelihood import MOST_LATENTS
from vae_exp.results.metrics import MetricsTable
from vae_exp.results.run_directory import RunDirectory
from vae_exp.training.experiment import Experiment, experiment_of
from vae_exp.training.stopping import begin_again

FEW_IMAGES = 1000
"""Images per split for a model without an encoder. Figure 3 of arXiv 1312.6114 uses the same number."""

COLUMNS = ("samples", "step", "epoch", "seconds", "evaluation_seconds", "steps_per_second")
"""The columns of a row that come before the metrics of the splits."""


def evaluation_points(samples: int, per_decade: int, decades: float) -> list[int]:
    """Return the counts ⌈10^(k/per_decade)⌉ in the last `decades` before the budget, and the budget itself.

    The counts do not depend on the budget, so that runs of different lengths are evaluated at the same points.
    """
    first = math.ceil(per_decade * (math.log10(samples) - decades) - 1e-9)
    last = math.floor(per_decade * math.log10(samples) + 1e-9)
    return sorted(
        {min(math.ceil(10 ** (k / per_decade) - 1e-6), samples) for k in range(max(first, 0), last + 1)} | {samples}
    )


class Evaluate(pl.Callback):
    """Evaluate every split at log-spaced sample counts. Write the metrics to `metrics.csv` and to every logger.

    For the other callbacks an evaluation is a validation of Lightning: they find its row in `trainer.callback_metrics`,
    and their validation hooks are called without gradients. Random numbers that they draw do not change the training.

    Args:
        per_decade: Evaluations per decade of samples.
        decades: The number of decades before the end of the budget at which evaluations start.
        batch_size: Images per batch of an evaluation.
        images: Evaluate only this many images of each split, the first ones. None evaluates all images, or 1000 if the
            model has no encoder and Hamiltonian Monte Carlo must find the posterior of each image.
        marginal_likelihood: Also estimate log p(x) from posterior samples (arXiv 1312.6114, appendix D). The model must
            have fewer than five latents.
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
        """Tell the experiment at which sample counts executions must end.

        Raises:
            ConfigError: `marginal_likelihood` is set, but the model is not a VAE or has too many latents.
        """
        experiment = experiment_of(trainer)
        model = experiment.architecture
        if self.marginal_likelihood and (not isinstance(model, HasJoint) or model.latent_dim > MOST_LATENTS):
            if isinstance(model, HasJoint):
                problem = f"architecture.latent_dim={model.latent_dim}"
            else:
                problem = "a label among its latents" if isinstance(model, Generative) else "no prior"
            raise ConfigError(
                f"callbacks.evaluate.marginal_likelihood=true: is for a VAE with at most {MOST_LATENTS} latents; this "
                f"model has {problem}"
            )
        experiment.end_executions_at(evaluation_points(experiment.samples, self.per_decade, self.decades))

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remove rows that were written after the checkpoint from which the run continues."""
        experiment = experiment_of(trainer)
        self._table = MetricsTable(RunDirectory(trainer.default_root_dir).metrics, until=experiment.samples_seen)
        self._goals = [goal for goal in experiment.goals if goal > experiment.samples_seen]

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Evaluate if the next evaluation point has been reached."""
        experiment = experiment_of(trainer)
        if not self._goals or experiment.samples_seen < self._goals[0]:
            return
        self._goals = [goal for goal in self._goals if goal > experiment.samples_seen]
        self._evaluate(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Evaluate if a callback stopped the run between two evaluation points."""
        experiment = experiment_of(trainer)
        if trainer.should_stop and experiment.metrics.get("samples") != experiment.samples_seen:
            self._evaluate(trainer)

    def names(self, experiment: Experiment) -> list[str]:
        """Return the names of the columns of a row. To find them, evaluate two images of each split."""
        model, data = experiment.architecture, experiment.data
        evaluations = [
            evaluate(model, data.evaluation_batches(split, 2, 2), 0, self.marginal_likelihood) for split in data.splits
        ]
        # the first images of one split may have no label, so that it lacks names that another split has
        names = dict.fromkeys(name for values in evaluations for name in ("images", *values))
        return [*COLUMNS, *(f"{split}/{name}" for split in data.splits for name in names)]

    def _evaluate(self, trainer: pl.Trainer) -> None:
        """Evaluate once, write the row, and call the validation hooks of the callbacks."""
        experiment = experiment_of(trainer)
        _call(trainer, "on_validation_start")
        _call(trainer, "on_validation_epoch_start")
        row = self._row(experiment)
        experiment.evaluated(row)
        self._table.append(row)
        experiment.log_row(row)
        _check_finite(experiment, row)
        if experiment.samples_seen >= experiment.samples:
            self._check_end(experiment, row)
        trainer.callback_metrics.update({name: torch.tensor(value, dtype=torch.float64) for name, value in row.items()})
        _call(trainer, "on_validation_epoch_end")
        _check_monitored(trainer)
        _call(trainer, "on_validation_end")

    def _row(self, experiment: Experiment) -> dict[str, float]:
        row: dict[str, float] = {}
        model, started = experiment.architecture, experiment.clock.seconds
        images = self.images or (None if model.amortized else FEW_IMAGES)
        for split in experiment.data.splits:
            batches = experiment.data.evaluation_batches(split, self.batch_size, images)
            values = evaluate(model, batches, marginal_likelihood=self.marginal_likelihood)
            row |= {f"{split}/images": len(batches.images)}
            row |= {f"{split}/{name}": value for name, value in values.items()}
        seconds = experiment.clock.seconds
        self.evaluation_seconds += seconds - started
        row["steps_per_second"] = experiment.steps / (seconds - self.evaluation_seconds)
        return {
            "samples": experiment.samples_seen,
            "step": experiment.steps,
            "epoch": experiment.samples_seen / len(experiment.data.splits["train"]),
            "seconds": seconds,
            "evaluation_seconds": self.evaluation_seconds,
            **row,
        }

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Prepare the saved states of callbacks that count evaluations, so that they continue to count."""
        begin_again(trainer.callbacks, checkpoint)  # type: ignore[attr-defined]

    def _check_end(self, experiment: Experiment, row: dict[str, float]) -> None:
        """Raise Diverged if the final metrics are finite but absurd. Earlier in training they may still recover."""
        x = grey(experiment.data.splits["train"][: self.batch_size].pixels)
        absurd = diverged(row, experiment.architecture, x)
        if absurd:
            values = ", ".join(f"{name} = {value:.3g}" for name, value in absurd.items())
            raise Diverged(
                f"The training ends with {values} nats per image: more than {TIMES_WORSE:,} times the cost "
                f"of a model that has learned nothing. {experiment.advice()}"
            )

    def state_dict(self) -> dict[str, Any]:
        """Return the seconds spent on evaluations, so that a resumed run counts all of them."""
        return {"evaluation_seconds": self.evaluation_seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue to count from the saved seconds."""
        self.evaluation_seconds = state_dict["evaluation_seconds"]


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


def _check_finite(experiment: Experiment, row: dict[str, float]) -> None:
    not_finite = [name for name, value in row.items() if not math.isfinite(value)]
    if not_finite:
        raise Diverged(
            f"The evaluation is not finite at step {experiment.steps:,} ({experiment.samples_seen:,} samples): "
            f"{', '.join(not_finite)}. {experiment.advice()}"
        )
