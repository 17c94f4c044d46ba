"""Import torch and Lightning where they stay until the process ends."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType


@contextmanager
def lasting_import() -> Iterator[None]:
    """Hide what the block imports from the garbage collector, which would look at all of it again and again.

    Its passes take a third of the time that a command needs to start. Torchmetrics is imported first, without what
    takes it almost a second. Without effect if torch was imported before: what else the process holds then is not ours,
    and may be freed.
    """
    if "torch" in sys.modules:
        yield
        return
    gc.disable()
    try:
        _import_torchmetrics()
        yield
    finally:
        gc.freeze()
        gc.enable()


def _import_torchmetrics() -> None:
    """Import torchmetrics, which Lightning needs, without scipy.signal, which takes almost a second.

    It imports scipy.signal only to give it a function back, `hamming`, that another package misses there.
    """
    if "scipy.signal" in sys.modules:
        return
    stand_in = ModuleType("scipy.signal")
    vars(stand_in)["hamming"] = None
    sys.modules["scipy.signal"] = stand_in
    try:
        import_module("torchmetrics")
    finally:
        del sys.modules["scipy.signal"]  # whoever imports it from now on gets all of it
