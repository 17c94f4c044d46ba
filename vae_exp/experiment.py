"""The LightningModule: terms → weighted loss → optimizer."""

import logging
import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from vae_exp import gradients
from vae_exp.architecture import Architecture
from vae_exp.data_parallel import Share
from vae_exp.dataset.batches import Execution
from vae_exp.errors import Diverged
from vae_exp.gradients import Loss
from vae_exp.network.bayesian import gaussian_parameters
from vae_exp.network.linear import product_library
from vae_exp.stopping import stopped_by
from vae_exp.training.engine import (
    GRAPHS_PER_EXECUTION,
    UPDATES_PER_GRAPH,
    Captured,
    Update,
    cuda_graph,
    matmul_precision,
    refuse,
    why_not_captured,
)

log = logging.getLogger(__name__)

STATE = "vae_exp"


class Experiment(pl.LightningModule):
    """Train one architecture on a budget of images.

    A checkpoint holds the state of every generator and how many images were seen; from these the data stream, the
    evaluations and the budget go on exactly where they were. Lightning's own loop counters are not needed for that.

    Args:
        architecture: What is trained.
        optimizer: Parameter groups to an optimizer.
        weight_prior: Precision of the Gaussian prior on the weights, p(θ) = N(0, I/weight_prior).
        samples: The budget, in training images evaluated.
        seed: Of the data stream.
        config: The config as YAML; kept in the checkpoints, so that a run goes on only as it began.
    """

    def __init__(
        self,
        architecture: Architecture,
        optimizer: Callable[[Any], Optimizer],
        weight_prior: float,
        samples: int,
        seed: int,
        config: str = "",
    ) -> None:
        super().__init__()
        self.architecture = architecture
        self.optimizer = optimizer
        self.weight_prior = weight_prior
        self.samples = samples
        self.seed = seed
        self.config = config
        self.samples_seen = 0
        self.steps = 0
        self.seconds = 0.0
        self.trained_on: str | None = None
        """The device, in words."""
        self.computation: dict[str, Any] = {"compiled": None, "engine": None, "product": None}
        """Whether the latest updates were compiled, by which engine, and whose matrix products they took."""
        self.metrics: dict[str, float] = {}
        """The latest evaluation."""
        self.goals: list[int] = []
        """The sample counts at which to evaluate."""
        self.share = Share()
        """Of every batch, where several processes train."""
        self._captured: Captured | None = None
        self._gradients: gradients.Eager | gradients.Compiled = gradients.Eager(self)
        self.stop_requested = False
        self.stopped_by: str | None = None
        """Which callback stopped the run before its budget was spent, and why."""
        self.automatic_optimization = False  # a Lightning step runs many updates

    def forward(self, x: Tensor, y: Tensor, counts: Tensor | None = None) -> Loss:
        """The loss Σ weightₖ · mean(termₖ), and the mean of each term; nats per image.

        Args:
            x: Images (B, C, H, W).
            y: Labels (B,).
            counts: What each image counts for, (B,); None if all count alike.
        """
        terms = self.architecture.terms(x, y)
        if counts is not None:
            terms = {name: counts * term for name, term in terms.items()}
        terms = {name: term.mean() for name, term in terms.items()}
        return torch.stack([self.architecture.weights[name] * term for name, term in terms.items()]).sum(), terms

    def on_fit_start(self) -> None:
        """Let the architecture prepare; choose how gradients are computed."""
        trainer: Any = self.trainer
        self.share.begin_alike(self)
        images, labelled = len(trainer.datamodule.splits["train"]), trainer.datamodule.labelled
        self.architecture.begin(images, labelled)
        self._choose_engine()

    def _choose_engine(self) -> None:
        trainer: Any = self.trainer
        optimizer, captured = trainer.optimizers[0], trainer.engine in ("auto", "captured")
        reason = why_not_captured(self.device, self.architecture.amortized, self.share.size, optimizer)
        if reason and trainer.engine == "captured":
            raise refuse(reason)
        compiled = trainer.compiles
        if compiled is None:
            compiled = gradients.is_repaid(self, self.samples // self._batch_size())
        eager = gradients.Eager(self)
        self._gradients = gradients.Compiled(self, required=bool(trainer.compiles)) if compiled else eager
        clip, parameters = trainer.largest_gradient_norm, list(self.architecture.parameters())
        on_gpu = compiled and self.device.type == "cuda"  # on a CPU the optimizer is one kernel already
        self._update = Update(self._gradients, parameters, optimizer, self.share, clip, on_gpu)
        # another size of batch would be compiled anew
        self._update_on_rest = Update(eager, parameters, optimizer, self.share, clip)
        serve = trainer.datamodule.training_stream(self).serve
        if captured and not reason:
            required = trainer.engine == "captured"
            self._captured = Captured(self._update, serve, optimizer, cuda_graph, required)
        float32, precision = trainer.precision == "32-true", trainer.float32_matmul_precision
        self._product = product_library(self, self._batch_size(), self.device) if float32 else "bfloat16"
        if precision != "highest":
            self._product += f", {precision} precision"

    def training_step(self, batches: Execution, batch_idx: int) -> dict[str, Tensor]:
        """One optimizer update per batch on the loss Σ weightₖ · mean(termₖ), nats per image.

        Returns:
            The mean `loss` of the updates, for callbacks; empty where there was no update.

        Raises:
            Diverged: A loss was not finite.
        """
        began, seen = time.perf_counter(), self.samples_seen
        trainer: Any = self.trainer
        with matmul_precision(trainer.float32_matmul_precision):
            losses = list(self._updates(batches))
        self.computation = {"compiled": self._gradients.engine != "eager", "engine": self._engine()}
        self.computation["product"] = self._product
        if batch_idx == 0:
            log.info("Updates by %s, matrix products by %s", *list(self.computation.values())[1:])
        # the device is waited for once per execution, here
        if not losses:
            return {}
        updates = torch.cat(losses).double().cpu()
        speed = (self.samples_seen - seen) / (time.perf_counter() - began)
        self._report(self._update.names or self._update_on_rest.names, updates, speed)
        return {"loss": updates[:, 0].mean()}

    def _updates(self, batches: Execution) -> Iterator[Tensor]:
        """The losses of one update after another, (1, 1 + terms), or of a block of them, (K, 1 + terms)."""
        if self._captured is not None:
            for block in batches.blocks(UPDATES_PER_GRAPH):
                losses = self._captured(block)
                self.samples_seen += block.numel()
                self.steps += len(block)
                yield losses
                if self.stop_requested:
                    return
        batch_size = self._batch_size()
        for x, y, index, counts in batches:
            size, count = self._sizes(batch_size)
            whole = not self.architecture.undivided or (self.samples_seen + count) % batch_size == 0
            if whole and self.architecture.e_step(x, y, index):
                losses = (self._update if size == batch_size else self._update_on_rest)(x, y, counts, size)
                self.steps += 1
                yield losses[None]
            self.samples_seen += count
            if self.stop_requested:
                return

    @property
    def updates_per_execution(self) -> int:
        """Between two waits for the device: on a GPU that waits for nothing else, many."""
        asked: int | None = getattr(self.trainer, "steps_per_execution", 1)
        return asked or UPDATES_PER_GRAPH * (GRAPHS_PER_EXECUTION if self._captured else 1)

    def _engine(self) -> str:
        kernels = self._gradients.engine
        return kernels if self._captured is None or self._captured.failed else f"CUDA graph, {kernels}"

    def configure_optimizers(self) -> Optimizer:
        """MAP with a Gaussian prior: per image ½·weight_prior·‖w‖²/N_train, whose gradient is a weight decay.

        (arXiv 1312.6114, section 5.) Biases and other vectors have a flat prior; weights with a posterior have theirs
        in the loss.
        """
        train_size = len(self.trainer.datamodule.splits["train"])  # type: ignore[attr-defined]
        parameters = [p for p in self.architecture.parameters() if p.requires_grad]
        gaussian = gaussian_parameters(self.architecture)
        decayed = {p for p in parameters if p.ndim > 1} - gaussian
        return self.optimizer(
            [
                {"params": [p for p in parameters if p in decayed], "weight_decay": self.weight_prior / train_size},
                {"params": [p for p in parameters if p not in decayed], "weight_decay": 0.0},
            ]
        )

    def log_row(self, row: dict[str, float]) -> None:
        """Metrics to every logger, against the number of images seen."""
        for logger in self.loggers:
            logger.log_metrics({"samples": self.samples_seen, **row}, step=self.steps)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add how far the run is and every generator's state."""
        checkpoint.pop("loops", None)
        checkpoint[STATE] = {
            "config": self.config,
            "samples_seen": self.samples_seen,
            "steps": self.steps,
            "seconds": self.seconds,
            "metrics": self.metrics,
            "stopped_by": self._stopped_by(),
            "computation": self.computation,
            "generator": torch.get_rng_state(),
            "cuda_generators": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up how far the run was; the generators are set when training starts."""
        self.samples_seen = checkpoint[STATE]["samples_seen"]
        self.steps = checkpoint[STATE]["steps"]
        self.seconds = checkpoint[STATE]["seconds"]
        self.metrics = checkpoint[STATE]["metrics"]
        self.stopped_by = checkpoint[STATE].get("stopped_by")
        self.computation |= checkpoint[STATE].get("computation", {})  # older ones have none
        self._generators = checkpoint[STATE]

    def on_train_start(self) -> None:
        """Put the generators where they were, after everything that might have drawn from them."""
        self.stopped_by = None  # a stopped run goes on
        if hasattr(self, "_generators"):
            torch.set_rng_state(self._generators["generator"].cpu())
            if torch.cuda.is_available():
                torch.cuda.set_rng_state_all([state.cpu() for state in self._generators["cuda_generators"]])
        if self.share.rank:  # other images, so other latents than the first process draws
            sequence = np.random.SeedSequence((self.seed, self.share.rank, self.samples_seen))
            torch.manual_seed(int(sequence.generate_state(1)[0]))

    def teardown(self, stage: str) -> None:
        """Keep for the results what stopped the run; it may have been before the first update."""
        self.stopped_by = self._stopped_by()

    def _stopped_by(self) -> str | None:
        return stopped_by(self.trainer) if self.samples_seen < self.samples else None

    def _sizes(self, batch_size: int) -> tuple[int, int]:
        """How many images the next batch has, and how many of them have not been counted yet.

        Where a budget ends inside an undivided batch, its part is counted and nothing is done with it: that waits for
        the rest, which a larger budget brings.
        """
        left = self.samples - self.samples_seen
        if not self.architecture.undivided:
            return min(batch_size, left), min(batch_size, left)
        return batch_size, min(batch_size - self.samples_seen % batch_size, left)

    def _batch_size(self) -> int:
        trainer: Any = self.trainer
        return int(trainer.datamodule.training_batch_size(self.architecture.online))

    def advice(self) -> str:
        """What to try when something is not finite."""
        lr = self.trainer.optimizers[0].param_groups[0]["lr"]
        return (
            f"Try a smaller optimizer.lr (now {lr:g}), another network.init_std, or with a Gaussian likelihood a "
            "larger likelihood.min_std"
        )

    def _report(self, names: list[str], losses: Tensor, samples_per_second: float) -> None:
        """Log the means of an execution's losses (updates, names); raise Diverged where one is not finite.

        Beside them the norm of the last update's gradient, as the optimizer had it.
        """
        wrong = (~losses.isfinite()).any(1).nonzero()
        if len(wrong):
            row = losses[int(wrong[0])].tolist()
            raise Diverged(
                self._diagnosis(self.steps - len(losses) + int(wrong[0]) + 1, dict(zip(names, row, strict=True)))
            )
        every: int = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        if self.steps // every > (self.steps - len(losses)) // every:
            means = dict(zip(names, losses.mean(0).tolist(), strict=True))
            norm = get_total_norm([p.grad for p in self.architecture.parameters() if p.grad is not None])
            self.log_row({**means, "gradient_norm": norm.item(), "samples_per_second": samples_per_second})

    def _diagnosis(self, step: int, losses: dict[str, float]) -> str:
        terms = {name.removeprefix("loss/"): value for name, value in losses.items() if name != "loss"}
        values = ", ".join(f"{name} = {value:g}" for name, value in terms.items())
        culprits = [name for name, value in terms.items() if not math.isfinite(value)] or ["their sum"]
        return f"The loss is not finite at step {step:,}: {', '.join(culprits)} ({values}). {self.advice()}"
