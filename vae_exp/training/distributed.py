"""One run on several devices: each process takes its shard of every batch, and their gradients are summed.

The process that the user started saves, evaluates and draws. It starts the others (`training/worker.py`), which only
train beside it.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn

from vae_exp.dataset.shard import Shard
from vae_exp.errors import RunError

CONFIG = "config.yaml"

PATIENCE = timedelta(days=1)
"""How long the others wait for the process that evaluates."""

OVER = "over"
"""The file by which the first process tells the others that the run has ended."""


def broadcast_weights(shard: Shard, model: nn.Module) -> None:
    """Give every process the weights of the first one."""
    if shard.size > 1:
        for value in model.state_dict().values():
            dist.broadcast(value, 0)


def sum_over_shards(shard: Shard, parameters: Iterable[nn.Parameter], means: Tensor, count: int) -> Tensor:
    """Combine each process's mean gradients and losses into means over the whole batch.

    Args:
        shard: This process's.
        parameters: Their gradients are replaced.
        means: The losses over the shard, (N,).
        count: Images in the batch.

    Returns:
        The losses over the whole batch, (N,).
    """
    if shard.size == 1:
        return means
    values = [*(p.grad for p in parameters if p.grad is not None), means]
    # one message: for small networks the number of messages is the cost
    whole = torch.cat([value.flatten() for value in values]) * shard.weight(count)
    dist.all_reduce(whole)
    for value, summed in zip(values, whole.split([value.numel() for value in values]), strict=True):
        value.copy_(summed.view_as(value))
    return means


@contextmanager
def processes(size: int, device: torch.device, directory: Path, config: str, resumed: bool) -> Iterator[Shard]:
    """Have so many processes train; the others end when this one leaves.

    Args:
        size: How many, with this one.
        device: Of this one.
        directory: The run directory.
        config: What all of them run, as YAML.
        resumed: Whether the run goes on from its last checkpoint.

    Raises:
        RunError: One of the others has ended before its time.
    """
    if size == 1:
        yield Shard()
        return
    threads = torch.get_num_threads()
    each = max(1, threads // size)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / CONFIG).write_text(config, encoding="utf-8")
        command = [
            sys.executable,
            "-m",
            "vae_exp.training.worker",
            str(directory),
            str(int(resumed)),
            folder,
            str(size),
        ]
        environment = os.environ | {"OMP_NUM_THREADS": str(each), "MKL_NUM_THREADS": str(each)}
        # in a session of its own: Ctrl-C is for the process that saves
        others = [
            subprocess.Popen([*command, str(rank)], env=environment, start_new_session=True) for rank in range(1, size)
        ]
        try:
            torch.set_num_threads(each)
            _wait_for_all(others, Path(folder))
            meet(Shard(0, size), device, folder)
            yield Shard(0, size)
        except RuntimeError as error:
            _complain(others, error)
            raise
        finally:
            torch.set_num_threads(threads)
            (Path(folder) / OVER).touch()
            leave()
            for other in others:
                other.kill()
                other.wait()


def _wait_for_all(others: list[subprocess.Popen[bytes]], folder: Path) -> None:
    """Until every one of them is ready to meet.

    Raises:
        RunError: One has ended.
    """
    while len(list(folder.glob("ready*"))) < len(others):
        _complain(others)
        time.sleep(0.05)


def _complain(others: list[subprocess.Popen[bytes]], error: Exception | None = None) -> None:
    if error is not None:
        time.sleep(1.0)  # the connection breaks before the process has ended
    for rank, other in enumerate(others, 1):
        if other.poll():
            raise RunError(f"trainer=ddp: process {rank + 1} of {len(others) + 1} ended with status {other.returncode}")


def meet(shard: Shard, device: torch.device, folder: str) -> None:
    """Join the group of all processes; waits until all have come.

    Args:
        shard: Of this process.
        device: Of this process.
        folder: Where all of them look for each other.
    """
    backend = "nccl" if device.type == "cuda" else "gloo"
    path = f"file://{folder}/meeting"
    dist.init_process_group(backend, path, PATIENCE, world_size=shard.size, rank=shard.rank)


def leave() -> None:
    """Leave the group."""
    if dist.is_initialized():
        dist.destroy_process_group()
