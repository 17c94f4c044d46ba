"""Run functions in threads that take turns, so that they can meet and compute something together.

Only one thread runs at a time, until it asks for something or ends. When all of them ask, they are answered together.
What is global in the process (random generators, logging, the working directory, …) is that of the thread whose turn
it is. So every function runs as it would in a process of its own, and no code has to be safe for threads.
"""

import logging
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import FrameType
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from hydra.core.hydra_config import HydraConfig

from vae_exp.likelihood import is_validated, set_validation, torch_validates
from vae_exp.network.linear import is_fast, set_fast_linear
from vae_exp.training.generators import Own

Result = TypeVar("Result")

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def _set_streams(streams: tuple[Any, Any]) -> None:
    sys.stdout, sys.stderr = streams


def _set_filters(filters: Any) -> None:
    warnings.filters = filters


def _set_handlers(handlers: list[logging.Handler]) -> None:
    logging.root.handlers[:] = handlers


def _set_hydra(config: Any) -> None:
    HydraConfig.instance().cfg = config


GLOBALS: tuple[tuple[Callable[[], Any], Callable[[Any], None]], ...] = (
    (lambda: (sys.stdout, sys.stderr), _set_streams),
    (lambda: warnings.filters, _set_filters),
    (lambda: logging.root.handlers[:], _set_handlers),
    (lambda: HydraConfig.instance().cfg, _set_hydra),
    (Path.cwd, os.chdir),
    (random.getstate, random.setstate),
    (np.random.get_state, np.random.set_state),
    (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    (lambda: (is_validated(), torch_validates()), lambda values: set_validation(*values)),
    (is_fast, set_fast_linear),
)
"""How each global that a function may change is read and set."""

HANDLERS = 2
"""The place of the logging handlers among them."""


class Place(Generic[Result]):
    """The place of a function among those that take turns.

    Args:
        function: The function. It must not raise an exception.
        output: The standard output and error of the function.

    Attributes:
        generators: PyTorch's random generators of this function.
        request: What it asks for now; None before it has started and after it has ended.
        answer: The answer to its last request.
        result: What it returned; None while it runs.
    """

    def __init__(self, function: Callable[[], Result], output: tuple[Any, Any]) -> None:
        self.generators = Own()
        self.request: Any = None
        self.answer: Any = None
        self.result: Result | None = None
        self._function = function
        self._globals: list[Any] = [output, *(read() for read, _ in GLOBALS[1:])]
        self._turn, self._pause = threading.Semaphore(0), threading.Semaphore(0)
        # a second Ctrl-C ends the process at once, without waiting for its threads
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._meets = True
        self._signal: int | None = None
        self._listener: Callable[[int], None] | None = None

    @property
    def ended(self) -> bool:
        """Whether the function has returned."""
        return self._thread.ident is not None and self.request is None

    def resume(self) -> None:
        """Let the function run until it asks for something or ends."""
        before = [read() for read, _ in GLOBALS]
        _set_all(self._globals)
        try:
            with self.generators.current():
                self._turn.release() if self._thread.ident else self._thread.start()
                self._pause.acquire()
                self._globals = [read() for read, _ in GLOBALS]
        finally:
            _set_all(before)
        if self.ended:
            for handler in set(self._globals[HANDLERS]) - set(before[HANDLERS]):
                handler.close()  # the log files of the function

    def meet(self, request: Any) -> Any:
        """Ask for something, and wait until all others do so too. To be called by the function itself.

        Returns:
            The answer.

        Raises:
            Exception: The answer is this exception.
        """
        self._meets, self.request = True, request
        self._pause.release()
        self._turn.acquire()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def leave(self) -> None:
        """Say that this function will not meet the others for long. Signals then reach it at once."""
        self._meets = False
        if self._signal is not None:
            self.deliver()

    def listen(self, listener: Callable[[int], None]) -> None:
        """Call this function with the number of a signal when one arrives, or now if one has arrived."""
        self._listener = listener
        if self._signal is not None:
            self.deliver()

    def interrupt(self, number: int) -> None:
        """Keep a signal for the function until all meet, so that they all end after the same update."""
        self._signal = number
        if not self._meets:
            self.deliver()

    def deliver(self) -> None:
        """Pass the signal on to the function."""
        if self._listener is not None and self._signal is not None:
            self._listener(self._signal)

    def _run(self) -> None:
        _PLACE.set(self)
        self.result = self._function()
        self.request = None
        self._pause.release()


_PLACE: ContextVar[Place[Any] | None] = ContextVar("place", default=None)


def current_place() -> Place[Any] | None:
    """Return the place of the function that calls this; None if it takes no turns with others."""
    return _PLACE.get()


def run_in_turns(
    places: Sequence[Place[Result]],
    answer: Callable[[Mapping[Place[Result], Any]], Mapping[Place[Result], Any]],
    ended: Callable[[Place[Result]], None],
) -> int | None:
    """Run functions in turns until they have all ended.

    At SIGINT and SIGTERM, functions that have not started do not start, and the others are told. A second signal has
    its usual effect.

    Args:
        places: The functions.
        answer: Maps their requests to the answers; called when all functions ask that have not ended.
        ended: Called when a function has ended.

    Returns:
        The number of the signal that arrived; None if there was none.
    """
    with _signals_to(places) as received:
        running = list(places)
        while running:
            for place in running:
                if not received or place.request is not None:
                    place.resume()
                    if place.ended:
                        ended(place)
            running = [place for place in running if place.request is not None]
            if received:
                for place in running:
                    place.deliver()
            for place, value in answer({place: place.request for place in running}).items():
                place.answer = value
    return received[0] if received else None


@contextmanager
def _signals_to(places: Sequence[Place[Any]]) -> Iterator[list[int]]:
    """Pass the first signal on to functions; yield a list that will contain it."""
    received: list[int] = []
    before: dict[int, Any] = {}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)
        before.clear()

    def receive(number: int, frame: FrameType | None) -> None:
        restore()
        received.append(number)
        for place in places:
            place.interrupt(number)

    if threading.current_thread() is threading.main_thread():
        before |= {number: signal.signal(number, receive) for number in SIGNALS}
    try:
        yield received
    finally:
        restore()


def _set_all(values: Sequence[Any]) -> None:
    for (_, write), value in zip(GLOBALS, values, strict=True):
        write(value)
