"""The part of a batch that belongs to one of several processes."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Shard:
    """The part of every batch that belongs to one of several processes.

    Args:
        rank: The number of this process; 0 is the process that the user started.
        size: Number of processes.
    """

    rank: int = 0
    size: int = 1

    def select(self, index: Tensor) -> Tensor:
        """Select every size-th image of a batch, (M,) of (N,).

        If no image is left for this process, select one image; its `weight` is 0.
        """
        mine = index[self.rank :: self.size]
        return mine if len(mine) else index[:1]

    def weight(self, count: int) -> float:
        """Compute the fraction of a batch of `count` images that belongs to this process."""
        return len(range(self.rank, count, self.size)) / count


WHOLE_BATCH = Shard()
"""The whole batch, for a single process."""
