"""Sources, splits, and the stream of batches. Knows no model and no trainer."""

from vae_exp.dataset.base import Images, Source, Splits
from vae_exp.dataset.dataset import Dataset

__all__ = ["Dataset", "Images", "Source", "Splits"]
