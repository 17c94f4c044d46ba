"""The LightningModule: terms → weighted loss → optimizer."""

import math
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.optim import Optimizer

from vae_exp.architecture import Architecture
from vae_exp.dataset.batches import Batch
from vae_exp.errors import Diverged

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
        self.metrics: dict[str, float] = {}
        """The latest evaluation."""

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss of one batch: Σ weightₖ · mean(termₖ), nats per image.

        Raises:
            Diverged: The loss is not finite.
        """
        x, y = batch
        terms = {name: term.mean() for name, term in self.architecture.terms(x, y).items()}
        loss = torch.stack([self.architecture.weights[name] * term for name, term in terms.items()]).sum()
        self.steps += 1
        self.samples_seen += len(x)
        if not math.isfinite(loss.item()):
            raise Diverged(self._diagnosis(terms))
        if self.steps % self.trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            row = {"loss": loss} | {f"loss/{name}": term for name, term in terms.items()}
            self.log_row({name: value.item() for name, value in row.items()})
        return loss

    def configure_optimizers(self) -> Optimizer:
        """MAP with a Gaussian prior: per image ½·weight_prior·‖w‖²/N_train, whose gradient is a weight decay.

        (arXiv 1312.6114, section 5.) Biases and other vectors have a flat prior.
        """
        train_size = len(self.trainer.datamodule.splits["train"])  # type: ignore[attr-defined]
        parameters = [p for p in self.architecture.parameters() if p.requires_grad]
        return self.optimizer(
            [
                {"params": [p for p in parameters if p.ndim > 1], "weight_decay": self.weight_prior / train_size},
                {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
            ]
        )

    def log_row(self, row: dict[str, float]) -> None:
        """Metrics to every logger, against the number of images seen."""
        for logger in self.loggers:
            logger.log_metrics({"samples": self.samples_seen, **row}, step=self.steps)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add how far the run is and every generator's state."""
        checkpoint.pop("loops", None)
        checkpoint["global_step"] = self.steps
        checkpoint[STATE] = {
            "config": self.config,
            "samples_seen": self.samples_seen,
            "steps": self.steps,
            "generator": torch.get_rng_state(),
            "cuda_generators": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up how far the run was; the generators are set when training starts."""
        self.samples_seen = checkpoint[STATE]["samples_seen"]
        self.steps = checkpoint[STATE]["steps"]
        self._generators = checkpoint[STATE]

    def on_train_start(self) -> None:
        """Put the generators where they were, after everything that might have drawn from them."""
        if hasattr(self, "_generators"):
            torch.set_rng_state(self._generators["generator"].cpu())
            if torch.cuda.is_available():
                torch.cuda.set_rng_state_all([state.cpu() for state in self._generators["cuda_generators"]])

    def advice(self) -> str:
        """What to try when something is not finite."""
        lr = self.optimizers().param_groups[0]["lr"]  # type: ignore[union-attr]
        return (
            f"Try a smaller optimizer.lr (now {lr:g}), another network.init_std, or with a Gaussian likelihood a "
            "larger likelihood.min_std"
        )

    def _diagnosis(self, terms: dict[str, Tensor]) -> str:
        values = ", ".join(f"{name} = {term.item():g}" for name, term in terms.items())
        culprits = [name for name, term in terms.items() if not math.isfinite(term.item())] or ["their sum"]
        return (
            f"The loss is not finite at step {self.steps:,} ({self.samples_seen:,} samples): {', '.join(culprits)} "
            f"({values}). {self.advice()}"
        )
