"""Draw the figures of a trained model at the end of a run."""

from typing import Annotated

import torch
from annotated_types import Interval
from pydantic import PositiveInt
from pytorch_lightning.loggers import Logger

from vae_exp.figures.portfolio import portfolio
from vae_exp.results.files import replacing
from vae_exp.results.run_directory import RunDirectory
from vae_exp.training.evaluation import FEW_IMAGES
from vae_exp.training.experiment import Experiment


class DrawFigures:
    """Draws every figure of the model when training ends, saves the figures and passes them to the loggers.

    Args:
        images: Number of test images that are encoded for the latent scatter.
        manifold_side: Images per side of the manifold figure of a model with two latents.
    """

    def __init__(self, images: PositiveInt = 5000, manifold_side: Annotated[int, Interval(gt=0, le=200)] = 20) -> None:
        self.images = images
        self.manifold_side = manifold_side

    def draw(self, experiment: Experiment, directory: RunDirectory, loggers: list[Logger]) -> None:
        """Draw the figures with a fixed seed, and restore the random number generators afterwards."""
        model = experiment.architecture.eval()
        images = self.images if model.amortized else min(self.images, FEW_IMAGES)
        x, y = next(iter(experiment.data.evaluation_batches("test", images)))
        title = f"{directory.name}, $N_z$ = {model.autoencoder.latent_dim}, {experiment.samples_seen:,} samples"
        names = experiment.data.info.class_names
        with torch.random.fork_rng([x.device] if x.device.type == "cuda" else []):
            torch.manual_seed(experiment.seed)
            standardisation = experiment.data.standardisation
            pictures = portfolio(model, (x, y), title, self.manifold_side, standardisation, names)
            for name, figure in pictures:
                path = directory.figures / f"{name}.png"
                with replacing(path) as file:
                    figure.savefig(file, dpi=150, bbox_inches="tight")
                for logger in loggers:
                    if hasattr(logger, "log_image"):
                        logger.log_image(f"figures/{name}", [str(path)])
        model.train()
