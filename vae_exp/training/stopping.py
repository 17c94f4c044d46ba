"""Find the callback that stopped a run before its budget was spent."""

from typing import Any, Literal

import pytorch_lightning as pl
from pydantic import NonNegativeFloat, PositiveInt
from pytorch_lightning.callbacks import EarlyStopping, Timer
from pytorch_lightning.callbacks.early_stopping import EarlyStoppingReason

from vae_exp.errors import ConfigError


def patience(
    monitor: str | None = None,
    mode: Literal["min", "max"] = "max",
    patience: PositiveInt = 3,
    min_delta: NonNegativeFloat = 0.0,
) -> EarlyStopping:
    """Stop when the validation split no longer improves (Lightning's `EarlyStopping`).

    Args:
        monitor: A metric of the validation split; None for the bound. `build_callbacks` passes what the model has.
        mode: Whether a lower or a higher value is better.
        patience: The evaluations without an improvement that are waited for.
        min_delta: The smallest change that is an improvement.

    Raises:
        ConfigError: The metric is one of another split.
    """
    monitor = monitor or "validation/bound"
    if not monitor.startswith("validation/"):
        name = monitor.rpartition("/")[2]
        raise ConfigError(
            f"callbacks.stop.monitor={monitor}: a run is stopped by images that it neither learns nor is reported on: "
            f"callbacks.stop.monitor=validation/{name}"
        )
    return EarlyStopping(monitor, min_delta, patience, mode=mode)


def stopped_by(trainer: pl.Trainer) -> str | None:
    """Return the class of the callback that stopped the trainer, and its reason; None if none did."""
    if not trainer.should_stop:
        return None
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    reasons = [reason for callback in callbacks if (reason := _reason(callback))]
    user_callbacks = {type(callback).__name__ for callback in callbacks if is_from_user(callback)}
    return "; ".join(reasons) or f"{' or '.join(sorted(user_callbacks)) or 'a callback'}: trainer.should_stop was set"


def is_from_user(callback: pl.Callback) -> bool:
    """Return whether the callback's class belongs to the user: it is neither in this package nor in Lightning."""
    return not type(callback).__module__.startswith(("vae_exp.", "pytorch_lightning."))


def reset_patience(callbacks: list[pl.Callback], states: dict[str, Any]) -> None:
    """Let a stopped run continue: use the patience of the current config, and reset the wait count if it is exhausted.

    Args:
        callbacks: All callbacks of the run.
        states: The states that will be loaded, by key. They are changed in place.
    """
    for callback in callbacks:
        if isinstance(callback, EarlyStopping) and callback.state_key in states:
            state = states[callback.state_key]
            state |= {"patience": callback.patience, "stopping_reason": EarlyStoppingReason.NOT_STOPPED.value}
            if state["wait_count"] >= callback.patience:
                state["wait_count"] = 0


def _reason(callback: pl.Callback) -> str | None:
    name = type(callback).__name__
    if isinstance(callback, EarlyStopping) and callback.stopping_reason == EarlyStoppingReason.PATIENCE_EXHAUSTED:
        return f"{name}: {callback.monitor} has not improved for {callback.wait_count} evaluations"
    if isinstance(callback, EarlyStopping) and callback.stopping_reason != EarlyStoppingReason.NOT_STOPPED:
        return f"{name}: {str(callback.stopping_reason_message).partition('. Signaling')[0]}"
    remaining = callback.time_remaining() if isinstance(callback, Timer) else None
    return f"{name}: the time is over" if remaining is not None and remaining <= 0 else None
