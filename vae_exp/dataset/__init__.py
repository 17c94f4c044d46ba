from vae_exp.dataset.base import Images, Source, Splits
from vae_exp.dataset.datamodule import DataModule

__all__ = ["DataModule", "Images", "Source", "Splits"]
