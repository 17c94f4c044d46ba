"""Lightning's Trainer, with what makes small networks fast."""

from typing import Any, Literal

import pytorch_lightning as pl
from pydantic import PositiveFloat, PositiveInt


class Trainer(pl.Trainer):
    """One Lightning step runs several optimizer updates, so that hooks, logging and the bar cost little per update.

    Args:
        steps_per_execution: Optimizer updates per Lightning step; fewer where the next evaluation or the end of the
            budget is nearer. The numbers do not depend on it.
        compile: Whether torch.compile makes one program of the loss and its gradient; `auto` where the budget is
            long enough to repay the time that takes. The numbers differ by rounding only.
        fast_linear: Whether linear layers on the CPU take their products from oneDNN; by rounding the same.
        gradient_clip_val: Largest norm of the gradient; None leaves it alone.
        precision: float32, or bfloat16 for the products of a training step; evaluations are always in float32.
            (float16 would need its losses scaled.)
        arguments: Of Lightning's Trainer.
    """

    def __init__(
        self,
        steps_per_execution: PositiveInt = 50,
        compile: Literal["auto"] | bool = "auto",
        fast_linear: bool = True,
        gradient_clip_val: PositiveFloat | None = None,
        precision: Literal["32-true", "32", 32, "bf16-mixed", "bf16"] = "32-true",
        **arguments: Any,
    ) -> None:
        super().__init__(precision=precision, **arguments)
        self.steps_per_execution = steps_per_execution
        self.compile = compile
        self.fast_linear = fast_linear
        self.largest_gradient_norm = gradient_clip_val
