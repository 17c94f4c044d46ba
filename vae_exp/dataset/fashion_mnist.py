"""Fashion-MNIST (Xiao et al. 2017, arXiv 1708.07747)."""

from pathlib import Path

from torchvision import datasets

from vae_exp.dataset.base import Source, Splits
from vae_exp.dataset.idx import load_idx


class FashionMNIST(Source):
    """60,000 training and 10,000 test images of clothes, 28×28, in ten classes.

    Args:
        root: The folder that holds `FashionMNIST/raw`; missing files are downloaded into it.
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
        return load_idx(datasets.FashionMNIST, self.root, download=True)
