"""The choice of where images lie."""

import resource

import pytest
import torch

from vae_exp.dataset.placement import choose, free_memory

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("asked", "size", "on_disk", "place"),
    [
        ("auto", 1000, True, "device"),
        ("auto", 10**15, True, "disk"),
        ("auto", 10**15, False, "device"),
        ("host", 10**15, True, "host"),
        ("disk", 1000, True, "disk"),
        ("device", 10**15, True, "device"),
    ],
)
def test_the_fastest_place_with_enough_memory_is_chosen(asked, size, on_disk, place):
    assert choose(asked, size, CPU, on_disk) == place


def test_free_memory_keeps_to_the_limit_of_the_process():
    before = resource.getrlimit(resource.RLIMIT_DATA)
    free = free_memory()
    assert 0 < free < 10**14
    try:
        resource.setrlimit(resource.RLIMIT_DATA, (10**12, before[1]))
        assert free_memory() <= min(free * 1.5, 10**12)
        limit = 50 * 2**30
        resource.setrlimit(resource.RLIMIT_DATA, (limit, before[1]))
        assert free_memory() < limit
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)
