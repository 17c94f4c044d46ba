"""Evaluate a model during training: at which sample counts, and what a row of metrics contains."""

import math
from collections.abc import Mapping
from typing import Annotated

from annotated_types import Interval
from pydantic import PositiveFloat, PositiveInt

from vae_exp.architecture import Generative, HasJoint, Model
from vae_exp.dataset import Dataset
from vae_exp.dataset.binarization import grey
from vae_exp.errors import ConfigError, Diverged
from vae_exp.evaluation import evaluate
from vae_exp.evaluation.divergence import TIMES_WORSE, diverged_metrics
from vae_exp.evaluation.marginal_likelihood import MOST_LATENTS
from vae_exp.results.metrics import KL_PER_LATENT

FEW_IMAGES = 1000
"""Images per split for a model without an encoder. Figure 3 of arXiv 1312.6114 uses the same number."""

Row = Mapping[str, float]
"""One evaluation: the counts of the run and `<split>/<metric>` of every split. It is read-only."""


def evaluation_points(samples: int, per_decade: int, decades: float) -> list[int]:
    """Return the counts ⌈10^(k/per_decade)⌉ in the last `decades` before the budget, and the budget itself.

    The counts do not depend on the budget, so that runs of different lengths are evaluated at the same points.
    """
    first = math.ceil(per_decade * (math.log10(samples) - decades) - 1e-9)
    last = math.floor(per_decade * math.log10(samples) + 1e-9)
    return sorted(
        {min(math.ceil(10 ** (k / per_decade) - 1e-6), samples) for k in range(max(first, 0), last + 1)} | {samples}
    )


class Evaluate:
    """Evaluates every split at log-spaced sample counts.

    Args:
        per_decade: Evaluations per decade of samples.
        decades: The number of decades before the end of the budget at which evaluations start.
        batch_size: Images per batch of an evaluation.
        images: Evaluate only this many images of each split, the first ones. None evaluates all images, or 1000 if the
            model has no encoder and Hamiltonian Monte Carlo must find the posterior of each image.
        train_images: Before the end of the budget, evaluate only this many training images, the first ones, because
            they are many and their bound is only for comparison. None evaluates all of them every time.
        marginal_likelihood: Also estimate log p(x) from posterior samples (arXiv 1312.6114, appendix D). The model must
            have fewer than five latents.
    """

    def __init__(
        self,
        per_decade: Annotated[int, Interval(gt=0, le=1000)] = 4,
        decades: PositiveFloat = 1.0,
        batch_size: PositiveInt = 1000,
        images: PositiveInt | None = None,
        train_images: PositiveInt | None = 10_000,
        marginal_likelihood: bool = False,
    ) -> None:
        self.per_decade = per_decade
        self.decades = decades
        self.batch_size = batch_size
        self.images = images
        self.train_images = train_images
        self.marginal_likelihood = marginal_likelihood

    def __call__(self, model: Model, data: Dataset, at_end: bool) -> tuple[dict[str, float], dict[str, list[float]]]:
        """Evaluate a model on every split.

        Args:
            model: The model.
            data: The images.
            at_end: Whether the budget is spent, so that the whole training split is evaluated.

        Returns:
            For each split the number of images, `<split>/images`, and its metrics; terms in nats per image. And the KL
            of every latent, `<split>/kl_per_latent`, (latent_dim,) in nats, if the model has an encoder and a prior.
        """
        values: dict[str, float] = {}
        latents: dict[str, list[float]] = {}
        images = self.images or (None if model.amortized else FEW_IMAGES)
        few = images if at_end else min(filter(None, (images, self.train_images)), default=None)
        for split in data.splits:
            batches = data.evaluation_batches(split, self.batch_size, few if split == "train" else images)
            evaluation = evaluate(model, batches, marginal_likelihood=self.marginal_likelihood)
            values |= {f"{split}/images": len(batches.images)}
            values |= {f"{split}/{name}": value for name, value in evaluation.means.items()}
            if evaluation.kl_per_latent:
                latents[f"{split}/{KL_PER_LATENT}"] = evaluation.kl_per_latent
        return values, latents

    def points(self, samples: int) -> list[int]:
        """Return the sample counts at which a run with this budget is evaluated."""
        return evaluation_points(samples, self.per_decade, self.decades)

    def names(self, model: Model, data: Dataset) -> list[str]:
        """Return the names of the values of an evaluation. To find them, evaluate two images of each split."""
        evaluations = [
            evaluate(model, data.evaluation_batches(split, 2, 2), 0, self.marginal_likelihood).means
            for split in data.splits
        ]
        # the first images of one split may have no label, so that it lacks names that another split has
        names = dict.fromkeys(name for values in evaluations for name in ("images", *values))
        return [f"{split}/{name}" for split in data.splits for name in names]

    def check(self, model: Model) -> None:
        """Check that the model can be evaluated in this way.

        Raises:
            ConfigError: `marginal_likelihood` is set, but the model is not a VAE or has too many latents.
        """
        if not self.marginal_likelihood or (isinstance(model, HasJoint) and model.latent_dim <= MOST_LATENTS):
            return
        if isinstance(model, HasJoint):
            problem = f"architecture.latent_dim={model.latent_dim}"
        else:
            problem = "a label among its latents" if isinstance(model, Generative) else "no prior"
        raise ConfigError(
            f"callbacks.evaluate.marginal_likelihood=true: is for a VAE with at most {MOST_LATENTS} latents; this "
            f"model has {problem}"
        )

    def check_end(self, row: Row, model: Model, data: Dataset, advice: str) -> None:
        """Check that the final metrics are not absurd. Earlier in training they may still recover.

        Raises:
            Diverged: A metric is finite but absurd.
        """
        x = grey(data.splits["train"][: self.batch_size].pixels)
        absurd = diverged_metrics(dict(row), model, x)
        if absurd:
            values = ", ".join(f"{name} = {value:.3g}" for name, value in absurd.items())
            raise Diverged(
                f"The training ends with {values} nats per image: more than {TIMES_WORSE:,} times the cost "
                f"of a model that has learned nothing. {advice}"
            )


def check_finite_row(row: Row, advice: str) -> None:
    """Check that every value of an evaluation is finite.

    Raises:
        Diverged: A value is NaN or infinite. The message names the step and the metrics.
    """
    not_finite = [name for name, value in row.items() if not math.isfinite(value)]
    if not_finite:
        raise Diverged(
            f"The evaluation is not finite at step {row['step']:,} ({row['samples']:,} samples): "
            f"{', '.join(not_finite)}. {advice}"
        )
