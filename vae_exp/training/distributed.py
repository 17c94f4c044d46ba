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

CONFIG_FILE = "config.yaml"
"""The file that contains the config for the other processes."""

LONGEST_WAIT = timedelta(days=1)
"""The longest time that the other processes wait while the first one evaluates."""

END_FILE = "over"
"""The first process creates this file to tell the others that the run has ended."""


def broadcast_weights(shard: Shard, model: nn.Module) -> None:
    """Give every process the weights of the first one."""
    if shard.size > 1:
        for value in model.state_dict().values():
            dist.broadcast(value, 0)


def sum_over_shards(shard: Shard, parameters: Iterable[nn.Parameter], means: Tensor, count: int) -> Tensor:
    """Combine each process's mean gradients and losses into means over the whole batch.

    Args:
        shard: The part of the batch that belongs to this process.
        parameters: The parameters, whose gradients are replaced.
        means: The mean losses over the shard, (N,).
        count: Number of images in the whole batch.

    Returns:
        The mean losses over the whole batch, (N,).
    """
    if shard.size == 1:
        return means
    values = [*(p.grad for p in parameters if p.grad is not None), means]
    # one message for all values, because the number of messages determines the cost for small networks
    whole = torch.cat([value.flatten() for value in values]) * shard.weight(count)
    dist.all_reduce(whole)
    for value, summed in zip(values, whole.split([value.numel() for value in values]), strict=True):
        value.copy_(summed.view_as(value))
    return means


@contextmanager
def processes(size: int, device: torch.device, directory: Path, config: str, resumed: bool) -> Iterator[Shard]:
    """Start the other processes of a run and yield the shard of this one. End the others after the `with` block.

    Args:
        size: Number of processes, including this one.
        device: The device of this process.
        directory: The run directory.
        config: The config of the run, as YAML.
        resumed: Whether the run continues from its last checkpoint.

    Raises:
        RunError: Another process has ended too early.
    """
    if size == 1:
        yield Shard()
        return
    threads = torch.get_num_threads()
    threads_per_process = max(1, threads // size)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / CONFIG_FILE).write_text(config, encoding="utf-8")
        command = [
            sys.executable,
            "-P",
            "-m",
            "vae_exp.training.worker",
            str(directory),
            str(int(resumed)),
            folder,
            str(size),
        ]
        environment = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads_per_process))
        # parts of the user's own are imported from the same folders, also if the job runs in its own directory
        environment["PYTHONPATH"] = os.pathsep.join(folder or str(Path.cwd()) for folder in sys.path)
        # in a new session, so that only this process, which saves, receives Ctrl-C
        others = [
            subprocess.Popen([*command, str(rank)], env=environment, start_new_session=True) for rank in range(1, size)
        ]
        try:
            torch.set_num_threads(threads_per_process)
            _wait_for_all(others, Path(folder))
            join_group(Shard(0, size), device, folder)
            yield Shard(0, size)
        except RuntimeError:
            time.sleep(1.0)  # the connection breaks shortly before the process ends
            _check_running(others)
            raise
        finally:
            torch.set_num_threads(threads)
            (Path(folder) / END_FILE).touch()
            leave_group()
            for other in others:
                other.kill()
                other.wait()


def _wait_for_all(others: list[subprocess.Popen[bytes]], folder: Path) -> None:
    """Wait until all other processes are ready to join the group.

    Raises:
        RunError: A process has ended.
    """
    while len(list(folder.glob("ready*"))) < len(others):
        _check_running(others)
        time.sleep(0.05)


def _check_running(others: list[subprocess.Popen[bytes]]) -> None:
    for rank, other in enumerate(others, 1):
        if other.poll():
            raise RunError(f"trainer=ddp: process {rank + 1} of {len(others) + 1} ended with status {other.returncode}")


def join_group(shard: Shard, device: torch.device, folder: str) -> None:
    """Join the group of all processes, and wait until all have joined.

    Args:
        shard: The shard of this process.
        device: The device of this process.
        folder: A folder that all processes share. They find each other by a file in it.
    """
    backend = "nccl" if device.type == "cuda" else "gloo"
    path = f"file://{folder}/meeting"
    dist.init_process_group(backend, path, LONGEST_WAIT, world_size=shard.size, rank=shard.rank)


def leave_group() -> None:
    """Leave the group."""
    if dist.is_initialized():
        dist.destroy_process_group()
