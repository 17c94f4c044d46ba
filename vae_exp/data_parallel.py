"""One run on several devices: each process takes its share of every batch, and their gradients are summed.

The process that the user started saves, evaluates and draws. The others only train beside it, from the config that it
hands them: `python -m vae_exp.data_parallel` is one of those.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn

from vae_exp.errors import RunError, UserError

CONFIG = "config.yaml"

PATIENCE = timedelta(days=1)
"""How long the others wait for the process that evaluates."""

OVER = "over"
"""The file by which the first process tells the others that the run has ended."""


@dataclass(frozen=True)
class Share:
    """What one of several processes does of every batch.

    Args:
        rank: Which process it is; 0 is the one that the user started.
        size: How many there are.
    """

    rank: int = 0
    size: int = 1

    def of(self, index: Tensor) -> Tensor:
        """Every size-th image of a batch; where none is left for this process, one that will count nothing."""
        mine = index[self.rank :: self.size]
        return mine if len(mine) else index[:1]

    def weight(self, count: int) -> float:
        """Which part of a batch of so many images it is."""
        return len(range(self.rank, count, self.size)) / count

    def begin_alike(self, model: nn.Module) -> None:
        """Take over the weights of the first process."""
        if self.size > 1:
            for value in model.state_dict().values():
                dist.broadcast(value, 0)

    def sum(self, parameters: Iterable[nn.Parameter], means: Tensor, count: int) -> Tensor:
        """Of means over a share, gradients and others, make those over the whole batch.

        Args:
            parameters: Their gradients are replaced.
            means: The others, (N,).
            count: Images in the batch.

        Returns:
            The others over the whole batch, (N,).
        """
        if self.size == 1:
            return means
        values = [*(p.grad for p in parameters if p.grad is not None), means]
        # one message: for small networks it is the number of them that costs
        whole = torch.cat([value.flatten() for value in values]) * self.weight(count)
        dist.all_reduce(whole)
        for value, summed in zip(values, whole.split([value.numel() for value in values]), strict=True):
            value.copy_(summed.view_as(value))
        return means


@contextmanager
def processes(size: int, device: torch.device, directory: Path, config: str, resumed: bool) -> Iterator[Share]:
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
        yield Share()
        return
    threads = torch.get_num_threads()
    each = max(1, threads // size)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / CONFIG).write_text(config, encoding="utf-8")
        command = [sys.executable, "-m", "vae_exp.data_parallel", str(directory), str(int(resumed)), folder, str(size)]
        environment = os.environ | {"OMP_NUM_THREADS": str(each), "MKL_NUM_THREADS": str(each)}
        # in a session of its own: Ctrl-C is for the process that saves
        others = [
            subprocess.Popen([*command, str(rank)], env=environment, start_new_session=True) for rank in range(1, size)
        ]
        try:
            torch.set_num_threads(each)
            _wait_for_all(others, Path(folder))
            _meet(Share(0, size), device, folder)
            yield Share(0, size)
        except RuntimeError as error:
            _complain(others, error)
            raise
        finally:
            torch.set_num_threads(threads)
            (Path(folder) / OVER).touch()
            _part()
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


def _meet(share: Share, device: torch.device, folder: str) -> None:
    backend = "nccl" if device.type == "cuda" else "gloo"
    path = f"file://{folder}/meeting"
    dist.init_process_group(backend, path, PATIENCE, world_size=share.size, rank=share.rank)


def _part() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def main() -> None:
    """Train beside the process that the user started."""
    from vae_exp.training.run import prepare_share

    directory, resumed, folder, size, rank = sys.argv[1:]
    share = Share(int(rank), int(size))
    try:
        device, fit = prepare_share(Path(directory), Path(folder) / CONFIG, share, resumed=resumed == "1")
        (Path(folder) / f"ready{rank}").touch()
        _meet(share, device, folder)
        fit()
        _part()
    except UserError:  # the first process has the same one, and tells it
        sys.exit(1)
    except RuntimeError:  # the first process has left, as where a signal or a callback stopped the run
        if not (Path(folder) / OVER).exists():
            raise


if __name__ == "__main__":
    main()
