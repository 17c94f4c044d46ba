"""A callback that tests add to the jobs of a sweep. It is in a module, because a job may run in another process."""

import json
import os
import signal
from pathlib import Path
from typing import Any


def fault(marks: str, raises: int, kills: int) -> Any:
    """Build a callback that ends the first try of two jobs; their second try succeeds.

    The first try of every job also records which GPUs and how many threads its process may use.

    Args:
        marks: The folder for these records, and for the marks of ended jobs.
        raises: The seed of the job that raises an error.
        kills: The seed of the job that kills its process.
    """
    import pytorch_lightning as pl

    class Fault(pl.Callback):
        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            seen = {name: os.environ.get(name) for name in ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")}
            record = Path(marks) / f"{pl_module.seed}.json"
            if not record.exists():
                record.write_text(json.dumps(seen))

        def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
            mark = Path(marks) / str(pl_module.seed)
            if pl_module.seed not in (raises, kills) or mark.exists() or pl_module.samples_seen < 200:
                return
            mark.touch()
            if pl_module.seed == kills:
                os.kill(os.getpid(), signal.SIGKILL)
            raise OSError("the disk is full")

    return Fault()


def surroundings() -> dict[str, Any]:
    """Return what a forked process finds: threads, variables, and what it inherited."""
    import torch

    def threads_of(pid: int) -> int:
        return len(list(Path(f"/proc/{pid}/task").iterdir()))

    return {
        "pid": os.getpid(),
        "threads": torch.get_num_threads(),
        "OMP_NUM_THREADS": os.environ["OMP_NUM_THREADS"],
        "own variable": os.environ.get("OWN_VARIABLE"),
        "threads of the server": threads_of(os.getppid()),
        "leads a session": os.getsid(0) == os.getpid(),
    }


def kill_myself() -> None:
    """End this process as the kernel does if memory is short."""
    os.kill(os.getpid(), signal.SIGKILL)
