"""The format of run directories, and how an older format is read.

Version 0.1 writes format 1, in which some parts have other names, and in which an autoencoder with
`architecture.supervised=true` is a classifier. Format 2 uses the current names, and classifiers have a `head`.
"""

from collections.abc import Mapping
from itertools import chain
from typing import Any

from vae_exp.config.overrides import parse_possible

FORMAT = 2
"""The format that this version writes."""

RENAMED_TARGETS = {
    "vae_exp.callbacks.Checkpoint": "vae_exp.training.checkpointing.Checkpoint",
    "vae_exp.callbacks.DrawFigures": "vae_exp.training.drawing.DrawFigures",
    "vae_exp.callbacks.Evaluate": "vae_exp.training.evaluation.Evaluate",
    "vae_exp.callbacks.Progress": "vae_exp.training.progress.Progress",
    "vae_exp.dataset.DataModule": "vae_exp.dataset.Dataset",
    "vae_exp.logger.TensorBoard": "vae_exp.training.loggers.tensorboard.TensorBoard",
    "vae_exp.logger.WandB": "vae_exp.training.loggers.wandb.WandB",
    "vae_exp.trainer.Trainer": "vae_exp.training.settings.TrainerSettings",
    "vae_exp.training.loggers.TensorBoard": "vae_exp.training.loggers.tensorboard.TensorBoard",
    "vae_exp.training.loggers.WandB": "vae_exp.training.loggers.wandb.WandB",
    "vae_exp.training.trainer.Trainer": "vae_exp.training.settings.TrainerSettings",
}
"""The current name of every `_target_` that had another name earlier, in format 1 or 2."""


SUPERVISED = "supervised"
"""The key of format 1 that makes a classifier of an architecture."""

HEADS = {True: "head=classifier", False: "head=none"}
"""The override that replaces `architecture.supervised=` of format 1, by its value."""

CLASSIFIER = {"_target_": "vae_exp.architecture.Classifier"}

WITH_LATENTS = {
    "vae_exp.architecture.VAE": ("vae", "cvae"),
    "vae_exp.architecture.M2": ("m2",),
    "vae_exp.architecture.M1M2": ("m1_m2",),
}
"""The architectures with a prior and a posterior, and the choices that build them."""

FIRST_LATENTS = {
    "prior": ("standard", {"_target_": "vae_exp.prior.standard.StandardNormal"}),
    "posterior": ("diagonal", {"_target_": "vae_exp.posterior.diagonal.Diagonal"}),
}
"""The choices of these architectures, and their nodes, from before the groups `prior` and `posterior` were added."""


def in_current_format(values: Any) -> Any:
    """Translate plain values of any format, such as a stored config, to the current format."""
    if isinstance(values, list):
        return [renamed_override(value) if isinstance(value, str) else in_current_format(value) for value in values]
    if not isinstance(values, dict):
        return values
    translated = {
        key: RENAMED_TARGETS.get(value, value)
        if key == "_target_" and isinstance(value, str)
        else in_current_format(value)
        for key, value in values.items()
    }
    architecture = translated.get("architecture")
    if isinstance(architecture, dict) and SUPERVISED in architecture:
        translated["head"] = CLASSIFIER if architecture.pop(SUPERVISED) is True else None
    if isinstance(architecture, dict) and architecture.get("_target_") in WITH_LATENTS and "objective" in translated:
        translated = {group: dict(node) for group, (_, node) in FIRST_LATENTS.items()} | translated
    return translated


def choices_in_current_format(choices: Mapping[str, Any]) -> dict[str, Any]:
    """Add the choices of `prior` and `posterior` to recorded choices, such as those in results, from before them.

    Values under other keys are returned as they are.
    """
    with_latents = set(chain(*WITH_LATENTS.values()))
    has_latents = choices.get("architecture") in with_latents and choices.get("objective") is not None
    first = {group: choice for group, (choice, _) in FIRST_LATENTS.items()} if has_latents else {}
    return first | dict(choices)


def renamed_override(text: str) -> str:
    """Translate an override of any format to the current format. A text that is no override is returned as it is."""
    if "_target_" not in text and SUPERVISED not in text:  # parsing is slow, and no other key has changed
        return text
    for override in parse_possible([text]):
        if override.signed_key == f"architecture.{SUPERVISED}" and isinstance(override.value, bool):
            return HEADS[override.value]
        if override.key.endswith("._target_") and override.unquoted in RENAMED_TARGETS:
            return override.with_value(RENAMED_TARGETS[override.unquoted])
    return text


def weights_in_current_format(weights: dict[str, Any], written_in: int) -> dict[str, Any]:
    """Translate the names of a checkpoint's weights: in format 1 a classifier is its encoder with one more layer."""
    if written_in > 1 or not any(str(name).startswith("architecture.softmax.") for name in weights):
        return weights
    return {
        name if str(name).startswith("architecture.softmax.") else str(name).replace(".", ".encoder.", 1): weight
        for name, weight in weights.items()
    }
