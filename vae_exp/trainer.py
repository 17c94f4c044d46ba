"""Lightning's Trainer, with what makes small networks fast."""

from typing import Any

import pytorch_lightning as pl
from pydantic import NonNegativeFloat, PositiveInt

from vae_exp.errors import ConfigError


class Trainer(pl.Trainer):
    """One Lightning step runs several optimizer updates, so that hooks, logging and the bar cost little per update.

    Args:
        steps_per_execution: Optimizer updates per Lightning step; fewer where the next evaluation or the end of the
            budget is nearer. The numbers do not depend on it.
        gradient_clip_val: Largest norm of the gradient; None leaves it alone.
        arguments: Of Lightning's Trainer.

    Raises:
        ConfigError: A precision that needs its losses scaled.
    """

    def __init__(
        self,
        steps_per_execution: PositiveInt = 50,
        gradient_clip_val: NonNegativeFloat | None = None,
        **arguments: Any,
    ) -> None:
        if str(arguments.get("precision", "")).startswith("16"):
            raise ConfigError("trainer.precision=16: float16 needs its losses scaled; take bf16-mixed")
        super().__init__(**arguments)
        self.steps_per_execution = steps_per_execution
        self.largest_gradient_norm = gradient_clip_val
