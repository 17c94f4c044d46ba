"""Kuzushiji-MNIST (Clanuwat et al. 2018, arXiv 1812.01718)."""

from pathlib import Path

from torchvision import datasets

from vae_exp.dataset.base import Source, Splits
from vae_exp.dataset.idx import load_idx


class KMNIST(Source):
    """60,000 training and 10,000 test images of cursive Japanese characters, 28×28, in ten classes.

    Args:
        root: The folder that holds `KMNIST/raw`; missing files are downloaded into it.
    """

    shape = (1, 28, 28)
    classes = 10

    def __init__(self, root: str) -> None:
        self.root = Path(root).expanduser()

    def load(self) -> Splits:
        """Read both official splits.

        Raises:
            DataError: A file is missing and cannot be downloaded, or cannot be read.
        """
        return load_idx(datasets.KMNIST, self.root, download=True)
