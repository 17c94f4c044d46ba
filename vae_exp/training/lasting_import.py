"""Import torch and Lightning where they stay until the process ends."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def lasting_import() -> Iterator[None]:
    """Hide what the block imports from the garbage collector, which would look at all of it again and again.

    Its passes take a third of the time that a command needs to start. Without effect if torch was imported before: what
    else the process holds then is not ours, and may be freed.
    """
    if "torch" in sys.modules:
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
