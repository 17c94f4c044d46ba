"""The format of run directories, and how an older format is read.

Version 0.1 writes format 1, in which some parts have other names. Format 2 uses the current names.
"""

from typing import Any

FORMAT = 2
"""The format that this version writes."""

RENAMED = {
    "vae_exp.callbacks.Checkpoint": "vae_exp.training.checkpointing.Checkpoint",
    "vae_exp.callbacks.DrawFigures": "vae_exp.training.drawing.DrawFigures",
    "vae_exp.callbacks.Evaluate": "vae_exp.training.evaluation.Evaluate",
    "vae_exp.callbacks.Progress": "vae_exp.training.progress.Progress",
    "vae_exp.dataset.DataModule": "vae_exp.dataset.Dataset",
    "vae_exp.logger.TensorBoard": "vae_exp.training.loggers.TensorBoard",
    "vae_exp.logger.WandB": "vae_exp.training.loggers.WandB",
    "vae_exp.trainer.Trainer": "vae_exp.training.trainer.Trainer",
}
"""The `_target_`s of format 1 and their current names."""


def renamed(values: Any) -> Any:
    """Replace old names by current names in plain values of any format."""
    if isinstance(values, list):
        return [renamed(value) for value in values]
    if not isinstance(values, dict):
        return values
    return {
        key: RENAMED.get(value, value) if key == "_target_" and isinstance(value, str) else renamed(value)
        for key, value in values.items()
    }


def renamed_word(word: str) -> str:
    """Replace an old name by the current name in an override of any format."""
    key, _, value = word.partition("=")
    return f"{key}={RENAMED[value]}" if key.endswith("._target_") and value in RENAMED else word
