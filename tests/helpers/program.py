"""Run a program in its own process, forked from a process that has already imported everything, which takes seconds."""

import atexit
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from multiprocessing import get_context
from pathlib import Path

from vae_exp import training

CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(
    ["vae_exp.training.run", "vae_exp.cli.evaluate", "vae_exp.cli.sample", "vae_exp.cli.report"]
)


class Program:
    """Run `python -m …`; has the methods of subprocess.Popen that the tests use.

    Args:
        arguments: The module and its arguments.
        cwd: The working directory.
        environment: The whole environment.
    """

    def __init__(self, arguments: tuple[str, ...], cwd: Path, environment: dict[str, str]) -> None:
        self._folder = Path(tempfile.mkdtemp())
        self._process = CONTEXT.Process(target=_run, args=(arguments, cwd, environment, self._folder))
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit status: −n if signal n ended the process, None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """Return `returncode`."""
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait until the process ends. Return what it wrote to stdout and stderr."""
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired("python -m", timeout or 0.0)
        out, err = ((self._folder / name).read_text(encoding="utf-8") for name in ("out", "err"))
        return out, err

    def send_signal(self, number: int) -> None:
        """Send a signal to the process if it still runs."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill the process."""
        self.send_signal(signal.SIGKILL)


def command_line(*arguments: str, cwd: Path, **environment: str) -> Program:
    """The program as a process of its own."""
    return Program(arguments, cwd, os.environ | {"PYTHONUNBUFFERED": "1"} | environment)


def _run(arguments: tuple[str, ...], cwd: Path, environment: dict[str, str], folder: Path) -> None:
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    for name, number in (("out", 1), ("err", 2)):
        file = os.open(folder / name, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        os.dup2(file, number)
    sys.stdout, sys.stderr = (open(n, "w", buffering=1, encoding="utf-8", closefd=False) for n in (1, 2))  # noqa: SIM115
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.path[:0] = [str(cwd), *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    training.run.try_touch = lambda path, load, wanted: None  # as the fixture `run`
    module, *words = arguments
    sys.argv = [module, *words]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()  # multiprocessing ends a forked process without calling them
