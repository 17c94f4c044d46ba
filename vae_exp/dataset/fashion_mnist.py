"""Fashion-MNIST (Xiao et al. 2017, arXiv 1708.07747)."""

from pathlib import Path

from torchvision import datasets

from vae_exp.dataset.base import Info, Source, Splits
from vae_exp.dataset.idx import load_idx

CLASSES = tuple(datasets.FashionMNIST.classes)


class FashionMNIST(Source):
    """60,000 training and 10,000 test images of clothes, 28×28, in ten classes.

    Args:
        root: The folder that holds `FashionMNIST/raw`; missing files are downloaded into it.
    """

    def __init__(self, root: str) -> None:
        self.root = Path(root).expanduser()

    def describe(self) -> Info:
        """Say what the images are. This reads nothing."""
        return Info((1, 28, 28), CLASSES, sizes={"train": 60_000, "test": 10_000})

    def load(self) -> Splits:
        """Read both official splits.

        Raises:
            DataError: A file is missing and cannot be downloaded, or cannot be read.
        """
        return load_idx(datasets.FashionMNIST, self.root, download=True)
