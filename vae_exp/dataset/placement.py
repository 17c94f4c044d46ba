"""Where the images lie while a model is trained on them."""

import os
from pathlib import Path
from typing import Literal

import torch

Placement = Literal["auto", "device", "host", "disk"]

PLACES = {"device": "on the device", "host": "in host memory", "disk": "on disk"}

SHARE = 0.5
"""The share of the free memory that images may take; the model and its batches need the rest."""

MEMORY = Path("/proc/meminfo")
CONTROL_GROUPS = Path("/sys/fs/cgroup")


def choose(asked: Placement, size: int, device: torch.device, on_disk: bool) -> Placement:
    """Choose where the images lie: on the device that trains, in host memory, or on disk.

    The numbers of a run do not depend on it.

    Args:
        asked: What the config asks for; `auto` takes the fastest place with enough free memory.
        size: Bytes of the pixels of all images.
        device: The device that trains.
        on_disk: Whether the pixels are memory-mapped, so that they can stay on disk.
    """
    if asked != "auto":
        return asked
    on_gpu = device.type == "cuda"
    if size <= SHARE * (torch.cuda.mem_get_info(device)[0] if on_gpu else free_memory()):
        return "device"
    if on_gpu and (size <= SHARE * free_memory() or not on_disk):
        return "host"
    return "disk" if on_disk else "device"


def free_memory() -> float:
    """Return the bytes of host memory that this process may still take; infinity if they are unknown."""
    return min(_available_to_machine(), _available_to_group(), _left_to_process())


def _available_to_machine() -> float:
    try:
        lines = dict(line.split(":") for line in MEMORY.read_text().splitlines())
        return 1024.0 * int(lines["MemAvailable"].split()[0])
    except (OSError, KeyError, ValueError):  # not on Linux
        return _free_pages()


def _free_pages() -> float:
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES"))
    except (AttributeError, OSError, ValueError):
        return float("inf")


def _available_to_group() -> float:
    """Return what is left of the limit of a container or a scheduler's job: its control group, of version 1 or 2."""
    try:
        groups = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    except OSError:
        return float("inf")
    left = [float("inf")]
    for _, controllers, path in groups:
        if not controllers:
            left += [_left_to(CONTROL_GROUPS / p, "memory.max", "anon") for p in (path.lstrip("/"), "")]
        elif "memory" in controllers.split(","):
            folder = CONTROL_GROUPS / "memory"
            left += [_left_to(folder / p, "memory.limit_in_bytes", "total_rss") for p in (path.lstrip("/"), "")]
    return min(left)


def _left_to(folder: Path, limit: str, used: str) -> float:
    """Return the limit of a control group minus its own memory. What it has cached of files can be given up."""
    try:
        statistics = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return float((folder / limit).read_text()) - float(statistics[used])
    except (OSError, KeyError, ValueError):  # no such group, or no limit: "max"
        return float("inf")


def _left_to_process() -> float:
    """Return what is left of `ulimit -d`, the limit of the process's own memory."""
    try:
        import resource
    except ImportError:  # not on Windows
        return float("inf")
    limit, _ = resource.getrlimit(resource.RLIMIT_DATA)
    if limit == resource.RLIM_INFINITY:
        return float("inf")
    try:
        used = int(Path("/proc/self/statm").read_text().split()[5]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        used = 0
    return float(limit - used)
