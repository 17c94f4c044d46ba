"""The memory allocator of the C library."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of mallopt(3), from glibc's malloc.h."""

KEPT_BYTES = 1 << 30
"""Buffers up to this size come from the heap, and this much free memory at the end of the heap is kept."""


def keep_freed_memory() -> None:
    """Let glibc keep the memory of freed buffers for the next ones; do nothing with another C library.

    By default glibc returns the memory of large buffers to the system as soon as they are freed. The activations of a
    convolutional network are such buffers, so every update would get fresh pages, which the system must fill with zeros
    first. No number of a run depends on it.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, KEPT_BYTES)
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
