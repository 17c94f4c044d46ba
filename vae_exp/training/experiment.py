"""The LightningModule: terms → weighted loss → optimizer."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from vae_exp.architecture import Model
from vae_exp.config.formats import FORMAT
from vae_exp.dataset import Dataset
from vae_exp.dataset.batches import Execution, TrainingStream
from vae_exp.dataset.shard import WHOLE_BATCH, Shard
from vae_exp.errors import ConfigError
from vae_exp.prior.base import StartsFromImages
from vae_exp.results.checkpoint import STATE
from vae_exp.training import generators
from vae_exp.training.clock import Clock
from vae_exp.training.device import device_name
from vae_exp.training.distributed import broadcast_weights
from vae_exp.training.engine.captured import matmul_precision
from vae_exp.training.engine.choice import Engine
from vae_exp.training.engine.losses import WeightedLoss, check_finite, means_of
from vae_exp.training.engine.schedule import Schedule
from vae_exp.training.settings import TrainerSettings
from vae_exp.training.stopping import stopped_by
from vae_exp.training.trainer import report_steps
from vae_exp.training.turns import current_place
from vae_exp.training.weight_prior import with_weight_prior

log = logging.getLogger(__name__)


class Experiment(pl.LightningModule):
    """Trains one architecture on a budget of images.

    A checkpoint holds the number of images seen and the state of every random number generator. From these, the data
    stream, the evaluations and the budget continue exactly where they were; Lightning's own counters are not needed.

    Args:
        architecture: The model.
        data: The images that it is trained and evaluated on.
        optimizer: Builds an optimizer from parameter groups.
        scheduler: Builds a scheduler from an optimizer; None keeps the learning rate constant.
        weight_prior: Precision of the Gaussian prior on the weights, p(θ) = N(0, I/weight_prior).
        samples: The budget, in training images evaluated.
        seed: The seed of the data stream.
        settings: How updates are computed, and how often their losses are reported.
        config: The config as YAML. It is kept in checkpoints: a run is only resumed with the same config.
    """

    def __init__(
        self,
        architecture: Model,
        data: Dataset,
        optimizer: Callable[[Any], Optimizer],
        weight_prior: float,
        samples: int,
        seed: int,
        settings: TrainerSettings,
        scheduler: Callable[[Optimizer], LRScheduler] | None = None,
        config: str = "",
    ) -> None:
        super().__init__()
        self.architecture = architecture
        self.data = data
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.weight_prior = weight_prior
        self.samples = samples
        self.seed = seed
        self.settings = settings
        self.config = config
        self.samples_seen = 0
        self.steps = 0
        self.clock = Clock()
        self.trained_on: str | None = None
        """The device, in words; None before `place`."""
        self.computation: dict[str, Any] = {"compiled": None, "engine": None, "product": None}
        """Whether the latest updates were compiled, which engine ran them, and which library computed the products."""
        self.metrics: dict[str, float] = {}
        """The latest evaluation."""
        self.goals: Sequence[int] = ()
        """The sample counts at which an execution has to end; set by `end_executions_at`."""
        self.shard = WHOLE_BATCH
        """The part of every batch that this process trains on."""
        self._engine: Engine | None = None
        self._stop_requested = False
        self.stopped_by: str | None = None
        """The callback that stopped the run before the end of its budget, and the reason."""
        self._generators: Mapping[str, Any] | None = None
        """The states of the generators in the checkpoint that the run goes on from."""
        self.automatic_optimization = False  # a Lightning step runs many updates

    def setup(self, stage: str) -> None:
        """Load the images onto the training device, unless they are there."""
        if not self.data.splits:
            self.data.load(self.trainer.strategy.root_device)

    def train_dataloader(self) -> TrainingStream:
        """Return the batches of the rest of the budget. A resumed run continues with the image after the last one."""
        images, serving = self.data.splits["train"], self.architecture.serving
        if self.data.counts.labelled == len(images):
            serving = replace(serving, labelled=0)
        return TrainingStream(
            images,
            self.data.binarize,
            self._batch_size(),
            self.samples_seen,
            self.samples,
            self.seed,
            1 if self._engine is None else self._engine.updates_per_execution,
            self.goals,
            serving,
            self.shard,
        )

    def on_fit_start(self) -> None:
        """Prepare the architecture and choose an engine."""
        report_steps(self.trainer, self.steps)
        broadcast_weights(self.shard, self)
        counts = self.data.counts
        if (e_step := self.architecture.e_step) is not None:
            e_step.begin(counts.images)
        self._begin_at_images()
        stream = self.train_dataloader()
        loss, optimizer = WeightedLoss(self.architecture, self.architecture.weights(counts)), self.trainer.optimizers[0]
        scheduler = next((config.scheduler for config in self.trainer.lr_scheduler_configs), None)
        self._engine = Engine(
            loss,
            Schedule(loss, optimizer, scheduler, self.samples, self.shard),
            optimizer,
            self.settings,
            self.shard,
            stream.serve if stream.on_device else None,
            batch_size=self._batch_size(),
            updates=self.samples // self._batch_size(),
            e_step=e_step,
            begun=self.steps > 0,
        )
        if (place := current_place()) is not None:
            self._engine.join(place, stream, self.samples_seen, self.samples, self.goals)

    def _begin_at_images(self) -> None:
        """Give training images to the parts that start from some.

        Raises:
            ConfigError: There are not enough.
        """
        for part in self.architecture.modules():
            if isinstance(part, StartsFromImages) and (wanted := part.wanted_images):
                if wanted > self.data.counts.images:
                    raise ConfigError(
                        f"prior.components={wanted}: {type(part).__name__} begins at as many different training images,"
                        f" and there are {self.data.counts.images:,}. Fewer components, or prior.begin_at=random"
                    )
                part.begin(self.data.spread(wanted))

    def training_step(self, batches: Execution, batch_idx: int) -> dict[str, Tensor]:
        """Update the weights once per batch by the loss Σ weightₖ · mean(termₖ), nats per image.

        Returns:
            The mean `loss` of the updates, for callbacks; empty if there was no update.

        Raises:
            Diverged: A loss is not finite.
        """
        began, seen = time.perf_counter(), self.samples_seen
        with matmul_precision(self.settings.float32_matmul_precision):
            losses = list(self._updates(batches))
        report_steps(self.trainer, self.steps)
        before, self.computation = self.computation, self.engine.computation()
        if batch_idx == 0 or self.computation != before:
            log.info("Updates by %s, matrix products by %s", *list(self.computation.values())[1:])
        if not losses:
            return {}
        updates = torch.cat(losses).double().cpu()  # this waits for the device, once per execution
        speed = (self.samples_seen - seen) / (time.perf_counter() - began)
        self._report(self.engine.names, updates, speed)
        return {"loss": updates[:, 0].mean()}

    def _updates(self, batches: Execution) -> Iterator[Tensor]:
        """Yield the losses of each update, (1, 1 + terms), or of each block of K updates, (K, 1 + terms)."""
        for images, losses in self.engine.blocks(batches):
            self.samples_seen += images
            self.steps += len(losses)
            yield losses
            if self._stop_requested:
                return
        for batch in batches:
            update = self.engine.update(batch)
            self.samples_seen = batch.stop
            if update is not None:
                self.steps += 1
                yield update[None]
            if self._stop_requested:
                return

    def configure_optimizers(self) -> Any:
        """Build the optimizer, with the prior on the weights as a weight decay, and the scheduler."""
        groups = with_weight_prior(self.architecture, self.weight_prior / self.data.counts.images)
        optimizer = self.optimizer(groups)
        return optimizer if self.scheduler is None else ([optimizer], [self.scheduler(optimizer)])

    def log_row(self, row: Mapping[str, float]) -> None:
        """Log metrics to every logger, against the number of images seen."""
        for logger in self.loggers:
            logger.log_metrics({"samples": self.samples_seen, **row}, step=self.steps)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the progress of the run and the states of the generators."""
        checkpoint.pop("loops", None)
        checkpoint[STATE] = {
            "format": FORMAT,
            "config": self.config,
            "samples_seen": self.samples_seen,
            "steps": self.steps,
            "seconds": self.clock.seconds,
            "metrics": self.metrics,
            "stopped_by": self._stopped_by(),
            "computation": self.computation,
            "standardisation": standardised.state() if (standardised := self.data.standardisation) else None,
            **generators.state(),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the progress of the run. The generators are restored when training starts."""
        self.samples_seen = checkpoint[STATE]["samples_seen"]
        self.steps = checkpoint[STATE]["steps"]
        self.clock = Clock(checkpoint[STATE]["seconds"])
        self.metrics = checkpoint[STATE]["metrics"]
        self.stopped_by = checkpoint[STATE].get("stopped_by")
        self.computation |= checkpoint[STATE].get("computation", {})  # missing in old checkpoints
        self._generators = checkpoint[STATE]

    def on_train_start(self) -> None:
        """Start the clock and restore the generators, after everything that may have drawn from them."""
        self.stopped_by = None  # a run that was stopped continues
        self.clock.start()
        if self._generators is not None:
            generators.restore(self._generators)
        if self.shard.rank:  # this process has other images than the first one, so it draws other latents
            generators.seed(self.seed, self.shard.rank, self.samples_seen)

    def on_train_epoch_end(self) -> None:
        """Stop the clock: drawing figures is not training."""
        self.clock.stop()

    def teardown(self, stage: str) -> None:
        """Note which callback stopped the run; it may have done so before the first update."""
        self.clock.stop()
        self.stopped_by = self._stopped_by()

    def place(self, device: torch.device, processes: int) -> None:
        """Move to the device that trains.

        Args:
            device: The device of this process.
            processes: The number of processes that train.
        """
        self.to(device)
        self.trained_on = device_name(device) + (f" × {processes}" if processes > 1 else "")

    def join(self, shard: Shard) -> None:
        """Take this shard of every batch from now on."""
        self.shard = shard

    def end_executions_at(self, goals: Sequence[int]) -> None:
        """Let executions end at these sample counts, so that the model can be evaluated there."""
        self.goals = goals

    def evaluated(self, row: Mapping[str, float]) -> None:
        """Keep the latest evaluation, for checkpoints and results."""
        self.metrics = dict(row)

    @property
    def engine(self) -> Engine:
        """How updates are computed; known when the fit has started."""
        assert self._engine is not None
        return self._engine

    def stop(self) -> None:
        """End after the current update."""
        self._stop_requested = True

    def _stopped_by(self) -> str | None:
        return stopped_by(self.trainer) if self.samples_seen < self.samples else None

    def _batch_size(self) -> int:
        return self.data.training_batch_size(self.architecture.serving)

    def advice(self) -> str:
        """Say what the user can try if a number is not finite."""
        lr = self.trainer.optimizers[0].param_groups[0]["lr"]
        return (
            f"Try a smaller optimizer.lr (now {lr:g}), another optimizer, with network=mlp or conv another "
            "network.init_std, or with a Gaussian likelihood a larger likelihood.min_std"
        )

    def _report(self, names: list[str], losses: Tensor, samples_per_second: float) -> None:
        """Check the losses of an execution, (updates, names), and log their means."""
        check_finite(names, losses, self.steps - len(losses) + 1, self.advice())
        every = self.settings.log_every_n_steps
        if self.steps // every > (self.steps - len(losses)) // every:
            values = self.engine.schedule.values(self.samples_seen) | {"samples_per_second": samples_per_second}
            self.log_row(means_of(names, losses, self.architecture) | values)


def experiment_of(trainer: pl.Trainer) -> Experiment:
    """Return the experiment that a trainer trains."""
    experiment = trainer.lightning_module
    assert isinstance(experiment, Experiment)
    return experiment
