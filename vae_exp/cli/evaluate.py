"""`vae_exp evaluate run=<dir>`: estimate the marginal likelihood of a finished run and evaluate its code."""

import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from annotated_types import Interval
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt

from vae_exp.cli.arguments import run_as_command
from vae_exp.errors import ConfigError
from vae_exp.results.files import write_atomically
from vae_exp.results.numbers import alone, shown
from vae_exp.results.run_directory import Checkpoint

if TYPE_CHECKING:
    from torch import Tensor

    from vae_exp.evaluation.marginal_likelihood import Estimate

    T = TypeVar("T", bound=Estimate)

USAGE = """\
python -m vae_exp evaluate run=<run directory> [split=test] [k=5000] [images=<all>]
                           [ais_images=100] [chains=16] [temperatures=<as many as it takes>] [tolerance=0.1]
                           [hmc_images=100] [hmc_samples=50] [hmc_begin_at=prior|encoder] [seed=0]
                           [checkpoint=last|best] [trust=<package>]
"""


LOWER_BOUNDS = """\
bound, L_k and ais are lower bounds of log p(x) in expectation: of L_k and ais the larger is the estimate. hmc is no
bound. The first ± is over images, the second over draws or chains. An ais with a spread far above 1 is too low."""

INFORMATION = """\
mutual_information and aggregated_kl add up to the mean KL. For N images the first is at most log N
(largest_mutual_information): if it is near that, it is too low, and aggregated_kl is too high by the same amount."""


def evaluate(
    run: str,
    split: Literal["train", "validation", "test"] = "test",
    k: PositiveInt = 5000,
    images: PositiveInt | None = None,
    ais_images: NonNegativeInt = 100,
    chains: PositiveInt = 16,
    temperatures: PositiveInt | None = None,
    tolerance: PositiveFloat = 0.1,
    hmc_images: NonNegativeInt = 100,
    hmc_samples: Annotated[int, Interval(ge=8)] = 50,
    hmc_begin_at: Literal["prior", "encoder"] = "prior",
    seed: Annotated[int, Interval(ge=0, lt=2**31)] = 0,
    checkpoint: Checkpoint = "last",
    trust: str | list[str] | None = None,
) -> dict[str, Any]:
    """Estimate log p(x) of a run's model and evaluate its code. Write the results to `evaluation_<split>.json`.

    If the code has a prior, log p(x) is estimated, in nats per image. If the pixels are standardised, it is a density
    of the original pixels, and `jacobian` is the constant that this adds. For grey images under a Bernoulli, the
    results also contain the `ceiling` that no value of log p(x) can exceed.

    For every model the results contain the squared error of its reconstructions and the mean ‖∂code/∂x‖_F of the first
    100 images; for a denoising model also the squared error of the reconstructions of corrupted images.

    If there are labels, the images of the split are classified by the codes of the training images, with the 5 nearest
    neighbours and with a linear probe. Both accuracies are fractions of correct images. With `split=train` no image is
    its own neighbour, and the probe's accuracy is a training accuracy. For a classifier, `error` is the fraction of
    wrong images.

    If the code has a prior and an encoder, the mutual information of image and code and KL(q(z)‖p(z)) are estimated,
    for at most 10,000 images (`evaluation.information`).

    An autoencoder with a linear decoder is compared with PCA: the squared error of PCA, and the largest angle between
    the two subspaces, in degrees, also for a PCA with one more component.

    Args:
        run: The run directory.
        split: The split whose images are evaluated.
        k: Importance samples per image. Every smaller power of ten is reported too.
        images: Evaluate only the first `images` images. The default is the whole split, or 1000 images for a model
            without an encoder.
        ais_images: Number of images for annealed importance sampling; 0 leaves it out.
        chains: Chains of annealed importance sampling per image.
        temperatures: Temperatures of annealed importance sampling. By default the number is doubled, up to 20,000,
            until `tolerance` is met.
        tolerance: Stop doubling when it changes the mean over the images by less than this, in nats.
        hmc_images: Number of images for the estimator with HMC samples (at most 4 latents); 0 leaves it out.
        hmc_samples: Posterior samples of that estimator.
        hmc_begin_at: Where its chains begin: at draws from the prior that explain an image, or at the encoder's draws.
        seed: Seed of all random draws.
        checkpoint: `last`, the model that the results belong to, or `best`; the file is `evaluation_<split>_best.json`.
        trust: Packages whose parts the run may use.

    Returns:
        The written results: the mean of each estimate, its standard errors over the images and over the draws or chains
        (null if there is only one of them), the settings, and the seconds.

    Raises:
        UserError: The run cannot be loaded.
    """
    import torch

    from vae_exp.architecture import HasJoint
    from vae_exp.config.assembly import build_data
    from vae_exp.evaluation.code import FEW_IMAGES, IMAGES_PER_BATCH, evaluate_code
    from vae_exp.evaluation.marginal_likelihood import MOST_LATENTS, annealed, by_posterior_samples, importance_weighted
    from vae_exp.evaluation.notes import ceiling, notes
    from vae_exp.evaluation.standard_errors import over_chains, over_draws, over_images
    from vae_exp.likelihood import unvalidated
    from vae_exp.network.linear import fast_linear
    from vae_exp.results.load import load_run

    started = time.perf_counter()
    settings = {name: value for name, value in locals().items() if name in evaluate.__annotations__}
    loaded = load_run(run, checkpoint, trust)
    model = loaded.model
    path = Path(run) / ("_".join(["evaluation", split] + ["best"] * (checkpoint == "best")) + ".json")
    data = build_data(loaded.config)
    data.load(torch.device("cpu"))
    if split not in data.splits:
        raise ConfigError(f"split={split}: the run has none. Allowed: {', '.join(data.splits)}")

    if hmc_begin_at == "encoder" and not model.amortized:
        raise ConfigError("hmc_begin_at=encoder: this model has none. Allowed: prior")
    with torch.random.fork_rng(), unvalidated(), fast_linear(True):
        torch.manual_seed(seed)
        # read the images only once: with dynamic binarization every estimate would get different images
        batches = list(data.evaluation_batches(split, IMAGES_PER_BATCH))
        most = images or (None if model.amortized else FEW_IMAGES)
        x, y = (torch.cat(parts)[:most] for parts in zip(*batches, strict=True))

        results = evaluate_code(model, data, (x, y), split)
        if data.standardisation is not None:
            results["jacobian"] = data.log_jacobian
        if not isinstance(model, HasJoint):  # the estimators need p(x, z) at every z
            return _written(results, settings, started, path)
        vae = model

        def batches_of(n: int) -> "Iterator[tuple[Tensor, Tensor]]":
            """Yield the first n images and their labels in batches."""
            yield from zip(x[:n].split(IMAGES_PER_BATCH), y[:n].split(IMAGES_PER_BATCH), strict=True)

        def weighted(k: int, n: int) -> dict[str, Any]:
            return over_draws(in_original_units([importance_weighted(vae, *batch, k) for batch in batches_of(n)]))

        def in_original_units(estimates: "Sequence[T]") -> "list[T]":
            return [replace(estimate, value=estimate.value + data.log_jacobian) for estimate in estimates]

        results |= {"ceiling": ceiling(model, x), "notes": notes(model, x, data.log_jacobian)}
        bounds = torch.cat([model.bound(*batch) for batch in batches_of(len(x))])
        results["bound"] = over_images(bounds + data.log_jacobian)
        for i in sorted({10**i for i in range(int(math.log10(k)) + 1)} | {k}):
            results[f"L_{i}"] = weighted(i, len(x))
        if ais_images:
            estimates = in_original_units(
                [annealed(vae, *batch, chains, temperatures, tolerance=tolerance) for batch in batches_of(ais_images)]
            )
            results["ais"] = over_draws(estimates) | over_chains(estimates)
            results[f"ais/L_{k}"] = weighted(k, ais_images)
        if hmc_images and model.latent_dim <= MOST_LATENTS:
            by_hmc = [
                by_posterior_samples(vae, *batch, hmc_samples, begin_at=hmc_begin_at)
                for batch in batches_of(hmc_images)
            ]
            results["hmc"] = over_draws(in_original_units(by_hmc))
            results[f"hmc/L_{k}"] = weighted(k, hmc_images)
    return _written(results, settings, started, path)


def _written(results: dict[str, Any], settings: dict[str, Any], started: float, path: Path) -> dict[str, Any]:
    results |= {"settings": settings, "seconds": time.perf_counter() - started}
    write_atomically(path, json.dumps(results, indent=2) + "\n")
    return results


def _show(results: dict[str, Any]) -> None:
    """Print one line per result, with its standard errors over images and, if known, over draws or chains."""
    for name, value in results.items():
        if isinstance(value, dict) and "mean" in value:
            print(f"{name:28} {_in_words(value)}")
        elif isinstance(value, int | float) and name != "seconds":
            print(f"{name:28} {value:10.4f}" if isinstance(value, float) else f"{name:28} {value:10d}")
    if "mutual_information" in results:
        print(INFORMATION)
    if "bound" in results:
        print(LOWER_BOUNDS)
    for note in results.get("notes", []):
        print(note)


def _in_words(estimate: dict[str, Any]) -> str:
    error, draws, spread = (estimate.get(name) for name in ("standard_error", "error_over_draws", "spread_over_chains"))
    value = shown(estimate["mean"], error) + (" ± ?" if error is None else "")
    words = f"{value:>16} nats per image, over {estimate['images']:,} images"
    if draws is not None:
        words += f"; ± {alone(draws)} over draws"
    if "temperatures" in estimate:
        words += f"; {estimate['temperatures']:,} temperatures, spread {alone(spread)} over chains"
        if estimate["changed_by_doubling"] is not None:
            words += f", changed by {estimate['changed_by_doubling']:+.3f} when doubled"
    return words


def main() -> None:
    """Run `evaluate` with arguments written key=value."""
    run_as_command(evaluate, USAGE, _show)
