"""`python -m vae_exp.evaluate run=<dir>`: the marginal likelihood of a finished run, and what its code is good for."""

import json
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Interval
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt

from vae_exp.arguments import run_as_command
from vae_exp.errors import ConfigError
from vae_exp.results.files import write_atomically

if TYPE_CHECKING:
    from torch import Tensor

    from vae_exp.architecture import Architecture
    from vae_exp.dataset import DataModule
    from vae_exp.evaluation.marginal_likelihood import AnnealedEstimate, Estimate

FEW_IMAGES = 1000
"""Of each split, where there is no encoder to encode them in one pass."""

AT_ONCE = 100
"""Images that are estimated at a time."""

USAGE = """\
python -m vae_exp.evaluate run=<run directory> [split=test] [k=5000] [images=<all>]
                           [ais_images=100] [chains=16] [temperatures=<as many as it takes>] [tolerance=0.1]
                           [hmc_images=100] [hmc_samples=50] [hmc_begin_at=prior|encoder] [seed=0] [trust=<package>]
"""


LOWER_BOUNDS = """\
bound, L_k and ais are lower bounds of log p(x) in expectation: of L_k and ais the larger is the estimate. hmc is no
bound. The first ± is over images, the second over draws or chains. An ais with a spread far above 1 is too low."""


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
    trust: str | list[str] | None = None,
) -> dict[str, Any]:
    """Estimate log p(x) of a run's model and judge its code; write it to the run's `evaluation_<split>.json`.

    log p(x), in nats per image, is estimated where the code has a prior. Grey images under a Bernoulli also have the
    `ceiling` that no such number can exceed. Every model has the squared error of its reconstructions and the mean
    ‖∂code/∂x‖_F of the first 100 images; a denoising one also the error of what it makes of corrupted images. Where
    there are labels, the codes of the training images classify those of the split, by their 5 nearest neighbours and
    by a linear probe: the numbers are the shares that are right. A classifier has the share that it gets wrong. With
    `split=train` no image is its own neighbour, and the probe has a training accuracy. An autoencoder whose decoder is
    linear is held against PCA: its squared error, and the largest angle between the subspaces, in degrees, also to that
    of one component more.

    Args:
        run: The run directory.
        split: Whose images.
        k: Importance samples per image; every power of ten below it is reported too.
        images: The first so many; by default all of the split, or 1000 where there is no encoder.
        ais_images: How many of them annealed importance sampling takes; 0 leaves it out.
        chains: Of annealed importance sampling, per image.
        temperatures: Of annealed importance sampling; by default they are doubled, to 20,000 at most.
        tolerance: Until doubling them changes the mean over the images by less than so many nats.
        hmc_images: How many of them the estimator by HMC samples takes (at most 4 latents); 0 leaves it out.
        hmc_samples: Posterior samples of that estimator.
        hmc_begin_at: Where its chains begin: at draws from the prior that explain an image, or at the encoder's.
        seed: Of all draws.
        trust: Packages that the run may name parts of.

    Returns:
        What is written: each estimate's mean, its standard errors over the images and over the draws or chains (null
        where there is one of them), the settings, the seconds.

    Raises:
        UserError: The run cannot be loaded.
    """
    import torch

    from vae_exp.architecture import VAE
    from vae_exp.assembly import build_data
    from vae_exp.evaluation.marginal_likelihood import MOST_LATENTS, annealed, by_posterior_samples, importance_weighted
    from vae_exp.evaluation.notes import ceiling, notes
    from vae_exp.likelihood import unvalidated
    from vae_exp.network.linear import fast_linear
    from vae_exp.run import load_run

    started = time.perf_counter()
    settings = {name: value for name, value in locals().items() if name in evaluate.__annotations__}
    loaded = load_run(run, trust=trust)
    model = loaded.model
    data = build_data(loaded.config)
    data.load(torch.device("cpu"))
    if split not in data.splits:
        raise ConfigError(f"split={split}: the run has none. Allowed: {', '.join(data.splits)}")

    if hmc_begin_at == "encoder" and not model.amortized:
        raise ConfigError("hmc_begin_at=encoder: this model has none. Allowed: prior")
    with torch.random.fork_rng(), unvalidated(), fast_linear(True):
        torch.manual_seed(seed)
        # once: a dynamic binarization would give every estimate other images
        batches = list(data.evaluation_batches(split, AT_ONCE))
        most = images or (None if model.amortized else FEW_IMAGES)
        x, y = (torch.cat(parts)[:most] for parts in zip(*batches, strict=True))

        results = _of_the_code(model, data, (x, y), split)
        if not isinstance(model, VAE):  # the classifier of M2 is not sampled from, and others have no prior
            return _written(results, settings, started, Path(run) / f"evaluation_{split}.json")
        vae = model

        def pieces(n: int) -> "Iterator[tuple[Tensor, Tensor]]":
            """The first n images and their labels."""
            yield from zip(x[:n].split(AT_ONCE), y[:n].split(AT_ONCE), strict=True)

        def weighted(k: int, n: int) -> dict[str, Any]:
            return _of_draws([importance_weighted(vae, *piece, k) for piece in pieces(n)])

        results |= {"ceiling": ceiling(model, x), "notes": notes(model, x)}
        results["bound"] = _over_images(torch.cat([model.bound(*piece) for piece in pieces(len(x))]))
        for i in sorted({10**i for i in range(int(math.log10(k)) + 1)} | {k}):
            results[f"L_{i}"] = weighted(i, len(x))
        if ais_images:
            of_pieces = [
                annealed(vae, *piece, chains, temperatures, tolerance=tolerance) for piece in pieces(ais_images)
            ]
            results["ais"] = _of_draws(of_pieces) | _of_chains(of_pieces)
            results[f"ais/L_{k}"] = weighted(k, ais_images)
        if hmc_images and model.latent_dim <= MOST_LATENTS:
            results["hmc"] = _of_draws(
                [by_posterior_samples(vae, *piece, hmc_samples, begin_at=hmc_begin_at) for piece in pieces(hmc_images)]
            )
            results[f"hmc/L_{k}"] = weighted(k, hmc_images)
    return _written(results, settings, started, Path(run) / f"evaluation_{split}.json")


def _over_images(values: "Tensor") -> dict[str, Any]:
    """The mean of an estimate (B,), and its standard error over the images; of one image there is none."""
    import torch

    deviation = values.double().std() if len(values) > 1 else torch.tensor(math.nan)
    return {
        "mean": values.double().mean().item(),
        "standard_error": _or_none((deviation / len(values) ** 0.5).item()),
        "images": len(values),
    }


def _of_draws(estimates: "Sequence[Estimate]") -> dict[str, Any]:
    """The same, with the standard error of the mean over the draws: each image has its own."""
    import torch

    errors = torch.cat([estimate.error for estimate in estimates]).double()
    over_draws = _or_none((errors.square().sum().sqrt() / len(errors)).item())
    return _over_images(torch.cat([estimate.value for estimate in estimates])) | {"error_over_draws": over_draws}


def _of_chains(estimates: "Sequence[AnnealedEstimate]") -> dict[str, Any]:
    """What annealed importance sampling says of itself, over the images."""
    import torch

    spread = torch.cat([estimate.spread for estimate in estimates]).double()
    return {
        "spread_over_chains": _or_none(spread.mean().item()),
        "temperatures": max(estimate.temperatures for estimate in estimates),
        "changed_by_doubling": _or_none(max((estimate.change for estimate in estimates), key=abs)),
    }


def _or_none(value: float) -> float | None:
    """JSON has no NaN."""
    return value if math.isfinite(value) else None


def _of_the_code(model: "Architecture", data: "DataModule", of: "tuple[Tensor, Tensor]", split: str) -> dict[str, Any]:
    """What the codes of a split's images show, those of the training images beside them."""
    import torch

    from vae_exp.architecture import AE, VAE
    from vae_exp.evaluation.active_units import active_units
    from vae_exp.evaluation.pca import directions, principal_angles, principal_components
    from vae_exp.evaluation.representation import (
        jacobian_norm,
        linear_probe_accuracy,
        nearest_neighbours_accuracy,
        saturated,
    )

    def encoded(x: "Tensor", y: "Tensor") -> "Tensor":
        return torch.cat([model.encode(*piece) for piece in zip(x.split(AT_ONCE), y.split(AT_ONCE), strict=True)])

    def hidden(y: "Tensor") -> "Tensor":
        """The labels as the model may know them: what says them itself is not told."""
        return torch.full_like(y, -1) if model.classifies else y

    def squared_error(codes: "Tensor") -> float:
        """Between the images and what their codes are decoded to, a sum over pixels."""
        images = model.decode(codes, model.completed(x, given)).mean
        return (images - x).square().flatten(1).sum(1).mean().item()

    x, y = of
    given = hidden(y)
    codes = encoded(x, given)
    results: dict[str, Any] = {"active_units": active_units(codes), "saturated_units": saturated(codes)}
    if model.reconstructs:
        results["squared_error"] = squared_error(codes)
        seen = model.corrupt(x)
        if seen is not x:
            results["squared_error_of_corrupted"] = squared_error(encoded(seen, given))
    asked = y >= 0
    if model.classifies and asked.any():
        guesses = torch.cat([model.classify(some).argmax(1) for some in x.split(AT_ONCE)])
        results["error"] = (guesses != y)[asked].double().mean().item()
    if isinstance(model, AE) and (columns := directions(model)) is not None:
        pixels = torch.cat([some for some, _ in data.evaluation_batches("train", AT_ONCE)])
        pca = principal_components(pixels, columns.shape[1])
        results["pca_squared_error"] = pca.squared_error(x).mean().item()
        results["largest_angle_to_pca"] = principal_angles(columns, pca.components).max().rad2deg().item()
        # where the last component and the next have nearly the same variance, training tells them apart last
        wider = principal_components(pixels, min(columns.shape[1] + 1, columns.shape[0])).components
        results["largest_angle_to_pca_with_one_more"] = principal_angles(wider, columns).max().rad2deg().item()
    # of the first images: where there is no closed form it takes a backward pass per latent
    results["jacobian_norm"] = jacobian_norm(model, x[:AT_ONCE], given[:AT_ONCE]) if model.amortized else None
    if data.source.classes and not (isinstance(model, VAE) and model.classes):  # whose code is told the label
        most = None if model.amortized else FEW_IMAGES
        pairs = [(encoded(x, hidden(y)), y) for x, y in data.evaluation_batches("train", AT_ONCE, most)]
        fitted, labels = (torch.cat(parts) for parts in zip(*pairs, strict=True))
        known, among = labels >= 0, split == "train"
        compared = fitted[known], labels[known], codes[asked], y[asked]
        if known.sum() > among and asked.any():
            results["nearest_neighbours_accuracy"] = nearest_neighbours_accuracy(*compared, among=among)
            name = "linear_probe_training_accuracy" if among else "linear_probe_accuracy"
            results[name] = linear_probe_accuracy(*compared)
    return results


def _written(results: dict[str, Any], settings: dict[str, Any], started: float, path: Path) -> dict[str, Any]:
    results |= {"settings": settings, "seconds": time.perf_counter() - started}
    write_atomically(path, json.dumps(results, indent=2) + "\n")
    return results


def _show(results: dict[str, Any]) -> None:
    """One line each, with the errors of the mean over images and, where there are several, over draws or chains."""
    for name, value in results.items():
        if isinstance(value, dict) and "mean" in value:
            print(f"{name:28} {_in_words(value)}")
        elif isinstance(value, int | float) and name != "seconds":
            print(f"{name:28} {value:10.4f}" if isinstance(value, float) else f"{name:28} {value:10d}")
    if "bound" in results:
        print(LOWER_BOUNDS)
    for note in results.get("notes", []):
        print(note)


def _in_words(estimate: dict[str, Any]) -> str:
    def told(name: str) -> str:
        return "?" if estimate[name] is None else f"{estimate[name]:.3f}"

    words = f"{estimate['mean']:10.3f} ± {told('standard_error')} nats per image, over {estimate['images']:,} images"
    if estimate.get("error_over_draws") is not None:
        words += f"; ± {told('error_over_draws')} over draws"
    if "temperatures" in estimate:
        words += f"; {estimate['temperatures']:,} temperatures, spread {told('spread_over_chains')} over chains"
        if estimate["changed_by_doubling"] is not None:
            words += f", changed by {estimate['changed_by_doubling']:+.3f} when doubled"
    return words


def main() -> None:
    """Arguments as Hydra writes them: key=value."""
    run_as_command(evaluate, USAGE, _show)


if __name__ == "__main__":
    main()
