"""Sources, splits, and the stream of batches. Knows no model and no trainer."""

from vae_exp.dataset.base import Images, Info, Source, Splits
from vae_exp.dataset.dataset import Dataset
from vae_exp.dataset.tensors import Tensors

__all__ = ["Dataset", "Images", "Info", "Source", "Splits", "Tensors"]
