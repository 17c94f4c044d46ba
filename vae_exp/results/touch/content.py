"""What a page has of each model: its functions, the codes of test images, the order of its latents."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from vae_exp.architecture import Autoencoder, HasPrior, Model
from vae_exp.dataset import Images
from vae_exp.evaluation.codes import Codes, encode_images
from vae_exp.evaluation.pca import principal_components
from vae_exp.likelihood import unvalidated
from vae_exp.prior.normal import DiagonalNormal, is_normal, kl_per_latent
from vae_exp.results.export.functions import functions_of
from vae_exp.results.report.facts import facts
from vae_exp.results.run import Run
from vae_exp.results.touch.examples import Examples, repeatable
from vae_exp.results.touch.program import Store, UnsuitableModel, numbers_as_text
from vae_exp.results.touch.translate import program_of

NEEDED = {"encoder": "code", "decoder": "mean", "classifier": "log_probability"}
"""The output of each function that the page shows."""

SHOWN = ("dataset", "architecture", "network", "likelihood", "latent_dim")
"""The parts of a run that the page names."""

MOST_CODES = 2000
MOST_NUMBERS = 100_000
"""Codes in the cloud of points: at most this many, with this many numbers together."""

MOST_AXES = 20
"""The principal axes of the codes that have a slider."""

DRAWS = 500
"""Draws from a prior that is not a standard normal: the page chooses among them."""

CHECKED = 4
"""The images whose reconstruction by PyTorch is in the page, which compares its own with them."""

TOLERANCE = 1 / 255
"""The largest change of a pixel's brightness by rounding weights to float16. Above it they stay float32."""


def content_of(run: Run, name: str, examples: Examples) -> dict[str, Any]:
    """Return what the page has of a run's model, as plain data for JSON.

    Args:
        run: The run. Its weights are rounded to float16, if that changes no pixel by more than `TOLERANCE`.
        name: The name of the model on the page.
        examples: The test images of the page.

    Raises:
        UnsuitableModel: The model has no decoder, or a function of it cannot be translated.
        UserError: The images of the run are not there.
    """
    model = run.model
    if not isinstance(model, Autoencoder):
        raise UnsuitableModel(
            f"run={run.path}: {type(model).__name__} has no decoder that is trained: nothing to touch"
        )
    with repeatable(run), torch.no_grad(), unvalidated():
        known = _encoded(run, examples)
        codes = _cloud(run) if model.amortized else known
        expected = _decoded(run, known)
        error = _round_weights(run, examples, known, expected)
        store = Store()
        functions = {
            function.name: program_of(function, [NEEDED[function.name]]).as_data(store)
            for function in functions_of(model, run.standardisation)
        }
    return {
        "name": name,
        "parts": {part: run.metrics[part] for part in SHOWN if run.metrics.get(part) is not None},
        "facts": {name: value for name, value in facts(run.metrics).items() if name.startswith("test/")},
        "latents": model.latent_dim,
        "classes": model.classes,
        "needsLabels": model.needs_labels,
        "precision": "float32" if error is None else "float16",
        "roundingError": error,
        "functions": functions,
        "constants": store.as_data(),
        "expected": numbers_as_text(examples.brightness(expected[:CHECKED]).flatten()),
        **_latents(model, codes),
    }


def _encoded(run: Run, examples: Examples) -> Codes:
    """Encode the examples."""
    like = next(run.model.parameters())
    x, y = examples.images.to(like), examples.labels.to(like.device)
    if run.standardisation is not None:
        x = run.standardisation.apply(Images(x, y)).pixels
    return encode_images(run.model, [(x, y)])


def _cloud(run: Run) -> Codes:
    """Encode the first test images."""
    count = max(100, min(MOST_CODES, MOST_NUMBERS // run.model.autoencoder.latent_dim))
    like = next(run.model.parameters())
    batches = run.data.evaluation_batches("test", 500, count)
    return encode_images(run.model, ((x.to(like), y.to(like.device)) for x, y in batches))


def _decoded(run: Run, codes: Codes) -> Tensor:
    """Decode codes, with the classes that the model predicted if it predicts any, in the units of the dataset."""
    model = run.model
    assert isinstance(model, Autoencoder)
    label = codes.label if codes.predicted is None else codes.predicted
    images = model.decode(codes.code, label if model.classes else None).mean
    return (images if run.standardisation is None else run.standardisation.invert(images)).cpu().float()


def _round_weights(run: Run, examples: Examples, codes: Codes, expected: Tensor) -> float | None:
    """Round the weights of the model to float16. Biases and other vectors, which are small, stay.

    Returns:
        The largest change of the brightness of a pixel, over the reconstructions of the examples; None if it is too
        large, and the weights are as they were.
    """
    matrices = [parameter for parameter in run.model.parameters() if parameter.ndim > 1]
    before = [parameter.clone() for parameter in matrices]
    for parameter in matrices:
        parameter.copy_(parameter.half())
    after = _encoded(run, examples) if run.model.amortized else codes
    change = examples.brightness(_decoded(run, replace(after, predicted=codes.predicted)))
    error = (change.clamp(0, 1) - examples.brightness(expected).clamp(0, 1)).abs().max().item()
    if error <= TOLERANCE:
        return error
    for parameter, weight in zip(matrices, before, strict=True):
        parameter.copy_(weight)
    return None


def _latents(model: Model, codes: Codes) -> dict[str, Any]:
    """Return the codes, their principal axes, and how much each latent carries: its KL in nats, or its variance."""
    code = codes.code.cpu().float()
    axes = principal_components(code, min(MOST_AXES, code.shape[1], len(code)))
    kl, prior, normal = None, model.prior if isinstance(model, HasPrior) else None, False
    if prior is not None and is_normal(prior):
        normal = True
        if codes.log_variance is not None:  # with a full covariance, the KL of each latent alone
            kl = kl_per_latent(DiagonalNormal(codes.code, codes.log_variance), prior).mean(0).tolist()
    return {
        "codes": {
            "count": len(code),
            # no encoder: these codes are all that the page has
            "numbers": numbers_as_text(code if not model.amortized else code.half().float()),
            "labels": codes.label.tolist(),
        },
        "kl": kl,
        "normal": normal,
        "draws": None if prior is None or normal else numbers_as_text(prior.sample((DRAWS,)).cpu().float()),
        "axes": {
            "mean": axes.mean.tolist(),
            "directions": axes.components.T.tolist(),
            "spread": axes.variances[: axes.components.shape[1]].clamp(min=0).sqrt().tolist(),
        },
    }
