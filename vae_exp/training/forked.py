"""Run functions beside each other, each in a process that is forked from one in which everything is imported.

The import takes seconds, so one process does it for all (a `forkserver` of Python's multiprocessing). What it holds in
memory is shared by all forked processes until they write to it. It only imports: it computes nothing, so there are no
threads and no locks that a forked process could inherit.
"""

import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar

from vae_exp.errors import ConfigError, RunError

log = logging.getLogger(__name__)

Result = TypeVar("Result")

PRELOADED = "vae_exp.training.preloaded"
"""The module that imports everything in the process from which the others are forked."""

SIGNALS = (signal.SIGINT, signal.SIGTERM)
SECONDS_TO_SAVE = 60
"""Time for interrupted functions to finish their step and save."""

SECONDS_TO_END = 5
"""Time for a process to end after its function has returned."""


@dataclass(frozen=True)
class Call(Generic[Result]):
    """A call of a function in a process of its own.

    Args:
        function: The function. It and its arguments must be picklable, and what it returns too.
        arguments: Its arguments.
        log: The file to which the standard error of the process is appended. Its standard output is dropped.
    """

    function: Callable[..., Result]
    arguments: tuple[Any, ...]
    log: Path


@dataclass(frozen=True)
class _Running:
    number: int
    process: BaseProcess


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_per_process(processes: int) -> int:
    """Return how many threads each of several processes should use: OMP_NUM_THREADS, or its share of the cores."""
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(asked) if asked.isdecimal() and int(asked) > 0 else max(1, cores() // processes)


def check_platform() -> None:
    """Refuse a platform on which processes cannot be forked.

    Raises:
        ConfigError: It is such a platform.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        raise ConfigError(f"hydra/launcher=processes: {sys.platform} cannot fork processes. Use hydra/launcher=joblib")


def start_server(threads: int) -> None:
    """Start the process from which the others are forked, unless it runs. Return at once, while it imports.

    Args:
        threads: The number of threads of each forked process. Libraries read it when they are imported.
    """
    multiprocessing.get_context("forkserver").set_forkserver_preload([PRELOADED])
    before = dict(os.environ)
    os.environ.update(_environment(threads))
    try:
        with _ctrl_c_ignored():  # inherited, so that Ctrl-C does not end the import with a traceback
            forkserver.ensure_running()
    finally:
        for name in _environment(threads):
            os.environ.pop(name) if name not in before else os.environ.update({name: before[name]})


def run_forked(
    calls: Sequence[Call[Result]], processes: int, threads: int, ended: Callable[[int, Result | RunError], None]
) -> list[Result | RunError]:
    """Call functions in processes of their own, some at a time.

    At Ctrl-C or SIGTERM they all get SIGINT and time to save, then the exception goes on. A second one kills them. If
    this process is killed, they get SIGTERM.

    Args:
        calls: The calls.
        processes: How many run at a time.
        threads: Threads of each process.
        ended: Called when a function has ended, with its place in `calls` and its result.

    Returns:
        What the functions returned, in order; a `RunError` for each one whose process was killed.
    """
    start_server(threads)
    results: dict[int, Result | RunError] = {}
    waiting, running = list(enumerate(calls)), dict[Connection, _Running]()
    try:
        while waiting or running:
            while waiting and len(running) < processes:
                number, call = waiting.pop(0)
                connection, process = _start(call, threads)
                running[connection] = _Running(number, process)
            ready = wait(list(running))
            for connection in [each for each in running if each in ready]:
                done = running.pop(connection)
                results[done.number] = _result(connection, done.process)
                ended(done.number, results[done.number])
    except BaseException:
        log.info("Interrupting %d jobs; they save their state first", len(running))
        _interrupt(running)
        raise
    finally:
        for each in running.values():
            each.process.kill()
    return [results[number] for number in range(len(calls))]


def _start(call: Call[Any], threads: int) -> tuple[Connection, BaseProcess]:
    context = multiprocessing.get_context("forkserver")
    receiver, sender = context.Pipe(duplex=False)
    environment = {**os.environ, **_environment(threads)}
    process = context.Process(target=_run, args=(sender, call, environment, threads))
    with _without_main_module():
        process.start()
    sender.close()  # only the process has it now, so that its end is seen here
    return receiver, process


def _environment(threads: int) -> dict[str, str]:
    return dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))


@contextmanager
def _ctrl_c_ignored() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _without_main_module() -> Iterator[None]:
    """Hide the main module: multiprocessing would run it again in each process, and a script would start its sweep."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _result(connection: Connection, process: BaseProcess) -> Any:
    """Receive what a function returned. If its process was killed, return an error that says so."""
    try:
        result = connection.recv()
    except EOFError:
        process.join()
        return RunError(f"its process was killed or ended by itself ({_how_it_ended(process.exitcode or 0)})")
    finally:
        connection.close()
    process.join(SECONDS_TO_END)
    process.kill()
    return result


def _how_it_ended(status: int) -> str:
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"status {status}"


def _interrupt(running: Mapping[Connection, _Running]) -> None:
    """Send SIGINT to processes, and wait until they have ended."""
    for each in running.values():
        if each.process.pid is not None and each.process.is_alive():
            os.kill(each.process.pid, signal.SIGINT)
    last = time.monotonic() + SECONDS_TO_SAVE
    for connection, each in running.items():
        if connection.poll(max(0.0, last - time.monotonic())):
            _result(connection, each.process)


def _run(sender: Connection, call: Call[Any], environment: Mapping[str, str], threads: int) -> None:
    """Call a function in this process, which was just forked."""
    os.setsid()  # only the first process gets the terminal's Ctrl-C: it sends it on once
    for number in SIGNALS:
        signal.signal(number, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(environment)
    _redirect(call.log)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import torch

    torch.set_num_threads(threads)
    sender.send(call.function(*call.arguments))


def _redirect(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    for name, number, flags in ((os.devnull, 1, os.O_WRONLY), (path, 2, os.O_WRONLY | os.O_CREAT | os.O_APPEND)):
        file = os.open(name, flags, 0o666)
        os.dup2(file, number)
        os.close(file)


def _end_with_parent() -> None:
    """Wait until the process that started this one has ended; it was killed. Then save and end."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)
