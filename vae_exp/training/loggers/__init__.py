"""The loggers of a run: Weights & Biases and TensorBoard."""

from pytorch_lightning.utilities import rank_zero_only

# Lightning logs only in the process of rank 0, and a scheduler may give this process another rank (SLURM_PROCID, RANK),
# although it is a run of its own
rank_zero_only.rank = 0  # type: ignore[attr-defined]
