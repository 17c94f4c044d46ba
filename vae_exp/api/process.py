"""Leave the caller's process as it was: random generators, logging, settings of libraries, environment."""

import logging
import os
import random
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

from vae_exp.cli.surroundings import current_folder_importable, provide_home
from vae_exp.errors import RunError
from vae_exp.training import generators

Setting = tuple[Callable[[], Any], Callable[[Any], Any], Any]

SETTINGS: tuple[Setting, ...] = (
    (torch.get_default_dtype, torch.set_default_dtype, torch.float32),
    (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "highest"),
    (torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode, 0),
    (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly, False),
    (torch.is_grad_enabled, torch.set_grad_enabled, True),
)
"""Settings of PyTorch: how each is read and set, and what it is when a command starts."""


class _Turn:
    """Lets one thread at a time use the process: PyTorch's generators, the log and Hydra are shared by all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner: int | None = None

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Wait for other threads.

        Raises:
            RunError: This thread is training already.
        """
        if self._owner == threading.get_ident():
            raise RunError("vae_exp.train: cannot be called by a part of a run that is training")
        with self._lock:
            self._owner = threading.get_ident()
            try:
                yield
            finally:
                self._owner = None


_TURN = _Turn()


@contextmanager
def unchanged_process() -> Iterator[None]:
    """Give the `with` block a process as a command finds it, and restore the caller's afterwards.

    Other threads that call this wait until the block ends.

    Raises:
        RunError: The block is inside of another one.
    """
    keepers = (_logging, _environment, _python, _hydra, _settings, _random, current_folder_importable)
    with _TURN.taken(), warnings.catch_warnings(), ExitStack() as stack:
        for keeper in keepers:
            stack.enter_context(keeper())
        provide_home()
        yield


@contextmanager
def _random() -> Iterator[None]:
    python, numpy, ours = random.getstate(), np.random.get_state(), generators.state()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        generators.restore(ours)


@contextmanager
def _settings() -> Iterator[None]:
    before = [read() for read, _, _ in SETTINGS]
    device, threads = torch.get_default_device(), torch.get_num_threads()
    cudnn = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=False, allow_tf32=True)
    with torch.inference_mode(False), cudnn:
        _set_default_device(torch.device("cpu"))
        for _, set_value, value in SETTINGS:
            set_value(value)
        try:
            yield
        finally:
            for (_, set_value, _), value in zip(SETTINGS, before, strict=True):
                set_value(value)
            _set_default_device(device)
            if torch.get_num_threads() != threads:
                torch.set_num_threads(threads)


def _set_default_device(device: torch.device) -> None:
    if torch.get_default_device() != device:
        torch.set_default_device(None if device.type == "cpu" else device)


@contextmanager
def _environment() -> Iterator[None]:
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update({name: text for name, text in before.items() if os.environ.get(name) != text})


@contextmanager
def _python() -> Iterator[None]:
    hooks, path = (sys.excepthook, sys.exit), sys.path[:]
    try:
        yield
    finally:
        sys.excepthook, sys.exit = hooks
        sys.path[:] = path


@contextmanager
def _hydra() -> Iterator[None]:
    application, job = GlobalHydra.instance().hydra, HydraConfig.instance().cfg
    GlobalHydra.instance().hydra = HydraConfig.instance().cfg = None
    try:
        yield
    finally:
        GlobalHydra.instance().hydra = application
        HydraConfig.instance().cfg = job


@contextmanager
def _logging() -> Iterator[None]:
    """Keep the caller's handlers, levels and loggers, and close the handlers that Hydra adds."""
    root = logging.getLogger()
    known = [root, *(entry for entry in root.manager.loggerDict.values() if isinstance(entry, logging.Logger))]
    before = {each: (each.level, each.disabled, each.propagate, each.handlers[:]) for each in known}
    # logging.config closes every handler that it finds here, the caller's files too
    names, open_handlers = dict(logging._handlers), logging._handlerList[:]  # type: ignore[attr-defined]
    logging._handlers.clear()  # type: ignore[attr-defined]
    logging._handlerList.clear()  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for handler in root.handlers:
            if handler not in before[root][3]:
                handler.close()
        for each, (level, disabled, propagate, handlers) in before.items():
            each.setLevel(level)
            each.disabled, each.propagate, each.handlers[:] = disabled, propagate, handlers
        logging._handlers.update(names)  # type: ignore[attr-defined]
        logging._handlerList[:0] = open_handlers  # type: ignore[attr-defined]
