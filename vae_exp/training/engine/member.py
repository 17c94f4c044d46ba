"""A run that can be trained together with others."""

from collections.abc import Hashable
from dataclasses import dataclass

import torch
from torch import nn
from torch.optim import Optimizer

from vae_exp.dataset.base import Images
from vae_exp.dataset.batches import TrainingStream
from vae_exp.training.engine.alike import structure
from vae_exp.training.engine.losses import WeightedLoss
from vae_exp.training.engine.schedule import Schedule
from vae_exp.training.engine.update import Step
from vae_exp.training.generators import Own
from vae_exp.training.settings import TrainerSettings


@dataclass(frozen=True, eq=False)
class Member:
    """A run that can be trained together with others.

    Args:
        loss: The loss of its model.
        step: What follows the gradient: clipping and the run's own optimizer.
        optimizer: This optimizer.
        schedule: Sets its learning rate and the weights of its loss for every update.
        settings: The settings of the trainer.
        compiles: Whether its updates are compiled.
        captures: Whether its updates can be captured as a CUDA graph.
        stream: Its training images, in its own order.
        generators: Its random generators.
        progress: The samples that it has seen, its budget and its evaluation points.
    """

    loss: WeightedLoss
    step: Step
    optimizer: Optimizer
    schedule: Schedule
    settings: TrainerSettings
    compiles: bool
    captures: bool
    stream: TrainingStream
    generators: Own
    progress: Hashable

    def key(self) -> Hashable:
        """Return what it must have in common with the other members."""
        stream = self.stream
        served = stream.batch_size, stream.binarize, stream.serving, len(stream.images)
        return structure(self.loss), served, self.settings, self.compiles, self.captures, self.progress

    def has_images_of(self, other: "Member") -> bool:
        """Return whether both are trained on the same images and labels."""
        own, others = self.stream.images, other.stream.images
        assert isinstance(own, Images)
        assert isinstance(others, Images)
        return torch.equal(own.labels, others.labels) and torch.equal(own.pixels, others.pixels)

    def parameters(self) -> dict[str, nn.Parameter]:
        """Return the parameters of its loss, by name."""
        return dict(self.loss.named_parameters())
