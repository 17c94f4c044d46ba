"""`python -m vae_exp.evaluate run=<dir>`: the marginal likelihood of a finished run, and how many latents it uses."""

import json
import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Interval
from pydantic import NonNegativeInt, PositiveInt

from vae_exp.arguments import run_as_command
from vae_exp.errors import ConfigError, RunError
from vae_exp.metrics import write_atomically

if TYPE_CHECKING:
    from torch import Tensor

AT_ONCE = 100
"""Images that are estimated at a time."""

USAGE = """\
python -m vae_exp.evaluate run=<run directory> [split=test] [k=5000] [images=<all>]
                           [ais_images=100] [chains=16] [temperatures=500] [hmc_images=100] [hmc_samples=50] [seed=0]
"""


def evaluate(
    run: str,
    split: Literal["train", "validation", "test"] = "test",
    k: PositiveInt = 5000,
    images: PositiveInt | None = None,
    ais_images: NonNegativeInt = 100,
    chains: PositiveInt = 16,
    temperatures: PositiveInt = 500,
    hmc_images: NonNegativeInt = 100,
    hmc_samples: Annotated[int, Interval(ge=8)] = 50,
    seed: Annotated[int, Interval(ge=0, lt=2**31)] = 0,
) -> dict[str, Any]:
    """Estimate log p(x) of a run's model, in nats per image, and write it to the run's `evaluation_<split>.json`.

    Args:
        run: The run directory.
        split: Whose images.
        k: Importance samples per image; every power of ten below it is reported too.
        images: The first so many; by default all of the split.
        ais_images: How many of them annealed importance sampling takes; 0 leaves it out.
        chains: Of annealed importance sampling, per image.
        temperatures: Of annealed importance sampling.
        hmc_images: How many of them the estimator by HMC samples takes (at most 4 latents); 0 leaves it out.
        hmc_samples: Posterior samples of that estimator.
        seed: Of all draws.

    Returns:
        What is written: each estimate's mean and standard error, the settings, the seconds.

    Raises:
        UserError: The run cannot be loaded, or its model has no prior.
    """
    import torch

    from vae_exp.architecture import VAE
    from vae_exp.assembly import build_data
    from vae_exp.evaluation.active_units import active_units
    from vae_exp.evaluation.marginal_likelihood import MOST_LATENTS, annealed, by_posterior_samples, importance_weighted
    from vae_exp.likelihood import unvalidated
    from vae_exp.network.linear import fast_linear
    from vae_exp.run import load_run

    started = time.perf_counter()
    settings = {name: value for name, value in locals().items() if name in evaluate.__annotations__}
    loaded = load_run(run)
    model = loaded.model
    if not isinstance(model, VAE):
        reason = "has no prior over its code" if model.prior is None else "has a label among its latents"
        raise RunError(f"run={run}: {type(model).__name__} {reason}, so no marginal likelihood is estimated")
    data = build_data(loaded.config)
    data.load(torch.device("cpu"))
    if split not in data.splits:
        raise ConfigError(f"split={split}: the run has none. Allowed: {', '.join(data.splits)}")

    with torch.random.fork_rng(), unvalidated(), fast_linear(True):
        torch.manual_seed(seed)
        # once: a dynamic binarization would give every estimate other images
        batches = list(data.evaluation_batches(split, AT_ONCE))
        x, y = (torch.cat(parts)[:images] for parts in zip(*batches, strict=True))

        def mean(estimate: Callable[["Tensor", "Tensor"], "Tensor"], n: int) -> dict[str, float]:
            """Of an estimate over the first n images, with its standard error."""
            pieces = zip(x[:n].split(AT_ONCE), y[:n].split(AT_ONCE), strict=True)
            values = torch.cat([estimate(*piece) for piece in pieces]).double()
            error = values.std(unbiased=False) / max(1, len(values) - 1) ** 0.5
            return {"mean": values.mean().item(), "standard_error": error.item(), "images": len(values)}

        def weighted(k: int, n: int) -> dict[str, float]:
            return mean(partial(importance_weighted, model, k=k), n)

        means = torch.cat([model.encode(*piece) for piece in zip(x.split(AT_ONCE), y.split(AT_ONCE), strict=True)])
        results: dict[str, Any] = {"active_units": active_units(means)}
        results["bound"] = mean(model.bound, len(x))
        for i in sorted({10**i for i in range(int(math.log10(k)) + 1)} | {k}):
            results[f"L_{i}"] = weighted(i, len(x))
        if ais_images:
            results["ais"] = mean(lambda x, y: annealed(model, x, y, chains, temperatures), ais_images)
            results[f"ais/L_{k}"] = weighted(k, ais_images)
        if hmc_images and model.latent_dim <= MOST_LATENTS:
            results["hmc"] = mean(lambda x, y: by_posterior_samples(model, x, y, hmc_samples), hmc_images)
            results[f"hmc/L_{k}"] = weighted(k, hmc_images)
    results |= {"settings": settings, "seconds": time.perf_counter() - started}
    write_atomically(Path(run) / f"evaluation_{split}.json", json.dumps(results, indent=2) + "\n")
    return results


def _show(results: dict[str, Any]) -> None:
    """One line each; the error is that of the mean over images."""
    for name, value in results.items():
        if isinstance(value, dict) and "mean" in value:
            error, images = value["standard_error"], value["images"]
            print(f"{name:12} {value['mean']:10.3f} ± {error:.3f} nats per image, over {images:,} images")
        elif name == "active_units":
            print(f"{name:12} {value:10d}")


def main() -> None:
    """Arguments as Hydra writes them: key=value."""
    run_as_command(evaluate, USAGE, _show)


if __name__ == "__main__":
    main()
