"""What changes from one update to the next: the learning rate and the weights of terms with a schedule."""

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from vae_exp.dataset.shard import Shard
from vae_exp.errors import ConfigError
from vae_exp.training.engine.losses import WeightedLoss


class Schedule:
    """Sets the learning rate and the weights of the loss for every update, by the samples seen.

    A run without a scheduler and without a schedule of a weight has nothing to set.

    Args:
        loss: The loss, which knows the schedules of its weights.
        optimizer: The optimizer.
        scheduler: Sets the optimizer's learning rate; None if the rate is constant. Its state is in the checkpoints.
        budget: The training samples of the whole run.
        shard: The part of every batch that this process trains on.

    Raises:
        ConfigError: The scheduler waits for evaluations, and several processes train.

    Attributes:
        by_evaluation: Whether the scheduler waits for evaluations.
    """

    def __init__(
        self, loss: WeightedLoss, optimizer: Optimizer, scheduler: LRScheduler | None, budget: int, shard: Shard
    ) -> None:
        self._loss, self._optimizer, self._scheduler, self._budget = loss, optimizer, scheduler, budget
        self.by_evaluation = isinstance(scheduler, ReduceLROnPlateau)
        if self.by_evaluation and shard.size > 1:
            raise ConfigError(
                "scheduler=plateau: judges by evaluations, which only one process of trainer=ddp makes. Allowed: "
                "scheduler=none, cosine, step, linear_warmup"
            )

    @property
    def changes(self) -> bool:
        """Whether anything changes during the training."""
        return self.changes_rate or bool(len(self._loss.annealed))

    @property
    def changes_rate(self) -> bool:
        """Whether the learning rate changes during the training."""
        return self._scheduler is not None

    def before(self, seen: int) -> None:
        """Prepare the update on the batch that comes after `seen` samples."""
        self._loss.anneal(seen, self._budget)

    def after(self) -> None:
        """Set the learning rate for the next batch, after a batch that was served, with or without an update."""
        if self._scheduler is not None and not self.by_evaluation:
            self._scheduler.step()

    def evaluated(self, cost: float) -> None:
        """Let a scheduler that waits for evaluations judge one; a lower cost is better."""
        if isinstance(self._scheduler, ReduceLROnPlateau):
            self._scheduler.step(cost)

    def values(self, seen: int) -> dict[str, float]:
        """Return what a schedule sets after `seen` samples: `lr`, and `weight/<term>`."""
        self._loss.anneal(seen, self._budget)
        rate = {} if self._scheduler is None else {"lr": float(self._optimizer.param_groups[0]["lr"])}
        names = self._loss.architecture.annealing
        return rate | {f"weight/{name}": self._loss.annealed[i].item() for i, name in enumerate(names)}
