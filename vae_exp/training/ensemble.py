"""Run the jobs of `hydra/launcher=ensemble`: in threads that take turns, and train together if they are alike."""

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

from vae_exp.training.engine.together import Together
from vae_exp.training.lasting_import import lasting_import
from vae_exp.training.turns import Place, run_in_turns

with lasting_import():
    from vae_exp.training.run import levels_of_libraries

Result = TypeVar("Result")


def run_together(
    functions: Sequence[Callable[[], Result]], logs: Sequence[Path], ended: Callable[[int, Result], None]
) -> int | None:
    """Run functions that train. Those whose models are alike are trained as an ensemble.

    Args:
        functions: They must not raise an exception.
        logs: For each function the file to which its standard error is appended. Its standard output is dropped.
        ended: Called when a function has ended, with its place in `functions` and its result.

    Returns:
        The number of the signal that interrupted them; None if there was none.
    """
    with ExitStack() as stack, levels_of_libraries():
        nowhere = stack.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
        for log in logs:
            log.parent.mkdir(parents=True, exist_ok=True)
        errors = [stack.enter_context(log.open("a", encoding="utf-8")) for log in logs]
        places = [Place(function, (nowhere, error)) for function, error in zip(functions, errors, strict=True)]

        def tell(place: Place[Result]) -> None:
            assert place.result is not None
            ended(places.index(place), place.result)

        return run_in_turns(places, Together(), tell)
