"""Which callback stopped a run before its budget was spent."""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping, Timer
from pytorch_lightning.callbacks.early_stopping import EarlyStoppingReason


def stopped_by(trainer: pl.Trainer) -> str | None:
    """The class of the callback that told the trainer to stop, and its reason; None where none did."""
    if not trainer.should_stop:
        return None
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    reasons = [reason for callback in callbacks if (reason := _reason(callback))]
    others = {type(callback).__name__ for callback in callbacks if is_users(callback)}
    return "; ".join(reasons) or f"{' or '.join(sorted(others)) or 'a callback'}: trainer.should_stop was set"


def is_users(callback: pl.Callback) -> bool:
    """Whether the class is neither ours nor Lightning's."""
    return not type(callback).__module__.startswith(("vae_exp.", "pytorch_lightning."))


def begin_again(callbacks: list[pl.Callback], checkpoint: dict[str, Any]) -> None:
    """Let a stopped run go on: patience is what the config says now, and an exhausted one starts anew.

    Args:
        callbacks: All of the run.
        checkpoint: What their states are about to be loaded from; it is changed.
    """
    states = checkpoint.get("callbacks", {})
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
