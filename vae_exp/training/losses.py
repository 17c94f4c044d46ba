"""Report a training loss that is not finite."""

import math

from torch import Tensor

from vae_exp.errors import Diverged


def check_finite(names: list[str], losses: Tensor, first_step: int, advice: str) -> None:
    """Raise an error if a loss is not finite.

    Args:
        names: `loss` and the names of its terms, `loss/<term>`.
        losses: One row per update (updates, names), in nats per image.
        first_step: The number of the first of these updates.
        advice: What the user can try.

    Raises:
        Diverged: A loss is NaN or infinite. The message names the step and the terms.
    """
    bad_rows = (~losses.isfinite()).any(1).nonzero()
    if not len(bad_rows):
        return
    row = int(bad_rows[0])
    values = dict(zip(names, losses[row].tolist(), strict=True))
    terms = {name.removeprefix("loss/"): value for name, value in values.items() if name != "loss"}
    not_finite = [name for name, value in terms.items() if not math.isfinite(value)] or ["their sum"]
    shown = ", ".join(f"{name} = {value:g}" for name, value in terms.items())
    raise Diverged(f"The loss is not finite at step {first_step + row:,}: {', '.join(not_finite)} ({shown}). {advice}")
