import pytest
import torch

from vae_exp.dataset.shard import Shard


@pytest.mark.parametrize("count", [1, 2, 5, 100])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_shards_are_the_batch(size, count):
    shards = [Shard(rank, size) for rank in range(size)]
    index = torch.arange(count) + 7
    counted = torch.cat([shard.select(index) for shard in shards if shard.weight(count)])
    assert sorted(counted.tolist()) == index.tolist()
    values = torch.rand(count + 7)
    means = sum(shard.weight(count) * values[shard.select(index)].mean() for shard in shards)
    torch.testing.assert_close(means, values[index].mean())
