import subprocess
import sys

import pytest

PROGRAM = """
import resource
from vae_exp.training.allocator import keep_freed_memory

def faults():  # how many pages the system must give for 64 MiB that are written
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    bytearray(b"1") * (64 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
by_default = faults()
keep_freed_memory()
faults()
print(by_default, faults())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the allocator is glibc's")
def test_the_memory_of_a_freed_buffer_serves_the_next_one():
    """In a process of its own, because the allocator's state is the process's."""
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    by_default, kept = map(int, ended.stdout.split())
    assert by_default > 10_000
    assert kept < 100
