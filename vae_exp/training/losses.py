"""What to report when a training loss is not finite."""

import math

from torch import Tensor

from vae_exp.errors import Diverged


def check_finite(names: list[str], losses: Tensor, first_step: int, advice: str) -> None:
    """Refuse losses that are not finite.

    Args:
        names: `loss` and the names of its terms, `loss/<term>`.
        losses: A row per update, (updates, names), in nats per image.
        first_step: The number of the first of these updates.
        advice: What the user can try.

    Raises:
        Diverged: A loss is NaN or infinite. The message names the step and the terms.
    """
    wrong = (~losses.isfinite()).any(1).nonzero()
    if not len(wrong):
        return
    row = int(wrong[0])
    values = dict(zip(names, losses[row].tolist(), strict=True))
    terms = {name.removeprefix("loss/"): value for name, value in values.items() if name != "loss"}
    culprits = [name for name, value in terms.items() if not math.isfinite(value)] or ["their sum"]
    shown = ", ".join(f"{name} = {value:g}" for name, value in terms.items())
    raise Diverged(f"The loss is not finite at step {first_step + row:,}: {', '.join(culprits)} ({shown}). {advice}")
