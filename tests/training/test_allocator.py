import resource

import torch

from vae_exp.training.allocator import keep_freed_memory


def faults(mebibytes: int) -> int:
    """How many pages the system must give for a buffer that is filled."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.zeros(mebibytes << 18).add_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_the_memory_of_a_freed_buffer_serves_the_next_one():
    keep_freed_memory()
    first, *others = [faults(16) for _ in range(4)]
    assert max(others) < 100, (first, others)
