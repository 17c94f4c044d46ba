"""Images and tables from the user's own files."""

from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Interval, MinLen
from pydantic import NonNegativeInt

from vae_exp.dataset.array_files import READERS, ArrayFile
from vae_exp.dataset.array_names import Given
from vae_exp.dataset.array_values import Layout
from vae_exp.dataset.base import Info, Source, Splits, Values
from vae_exp.dataset.named_arrays import NamedArrays
from vae_exp.dataset.tables import TABLES
from vae_exp.errors import ConfigError, DataError

Name = Annotated[str, MinLen(1)]


class Arrays(Source):
    """Images or rows of numbers from one file: .npz, .npy, .pt, .h5, .parquet or .csv.

    Images are (N, H, W), (N, C, H, W) or (N, H, W, C); rows are (N, D) and become images of the shape (1, 1, D).
    Nothing in a file is ever unpickled.

    Args:
        path: The file.
        train: The name of the training images in the file. Names that are not given are found by convention
            (`array_names.find`).
        train_labels: The name of their labels: integers or texts; −1, NaN and an empty text stand for unknown labels.
        validation: The name of the validation images.
        validation_labels: The name of their labels.
        test: The name of the test images. If the file has none, they are drawn from the training images.
        test_labels: The name of their labels.
        test_fraction: The share of images that is drawn for the test split.
        split_seed: The seed of this draw.
        label_column: The name or position of the column of a table that holds the labels.
        header: Whether the first line of a CSV file names the columns; None finds out.
        layout: Which axis of images with four axes is the channels; None takes the one of length 1 or 3.
        values: The values of the pixels: `levels` (0 to 255, divided by 255), `unit` (floats in [0, 1]) or `real`.
            `auto`: integers are levels; floats are unit if all of them lie in [0, 1], else real.
        standardise: Whether every pixel is standardised by its mean and standard deviation over the training images.
    """

    def __init__(
        self,
        path: Name,
        train: Name | None = None,
        train_labels: Name | None = None,
        validation: Name | None = None,
        validation_labels: Name | None = None,
        test: Name | None = None,
        test_labels: Name | None = None,
        test_fraction: Annotated[float, Interval(gt=0, lt=1)] = 0.2,
        split_seed: NonNegativeInt = 0,
        label_column: int | Name | None = None,
        header: bool | None = None,
        layout: Layout | None = None,
        values: Literal["auto"] | Values = "auto",
        standardise: bool = False,
    ) -> None:
        self.path = Path(path).expanduser()
        self.label_column = label_column
        self.header = header
        given = {
            "train": Given(train, train_labels),
            "validation": Given(validation, validation_labels),
            "test": Given(test, test_labels),
        }
        self._arrays = NamedArrays(self.path, self._open, given, test_fraction, split_seed, layout, values, standardise)

    def describe(self) -> Info:
        """Say what the images are: read headers and labels; with `values=auto`, also all floats.

        Raises:
            DataError: The file is missing or damaged, an array cannot hold images, or there are more or fewer labels
                than images.
            ConfigError: The file is of an unknown kind, an argument has no meaning for it, or it is not clear which
                array holds the images, or which axis the channels.
        """
        return self._arrays.describe()

    def load(self) -> Splits:
        """Read all images.

        Raises:
            DataError: As `describe`, or a value is not allowed.
            ConfigError: As `describe`.
        """
        return self._arrays.load()

    def _open(self) -> ArrayFile:
        file = _reader(self.path, self.label_column, self.header)
        if not self.path.is_file():
            kind = "is no file" if self.path.exists() else "does not exist"
            raise DataError(f"dataset.source.path={self.path}: {kind} ({self.path.absolute()})")
        return file


def _reader(path: Path, label_column: str | int | None, header: bool | None) -> ArrayFile:
    """Choose the reader by the suffix.

    Raises:
        ConfigError: There is none for it, or it takes no arguments of tables.
    """
    suffix = path.suffix.lower()
    if suffix in TABLES:
        return TABLES[suffix](path, label_column, header)
    for key, value in {"label_column": label_column, "header": header}.items():
        if value is not None:
            raise ConfigError(f"dataset.source.{key}={value}: is for tables ({', '.join(TABLES)}), not for {path.name}")
    if suffix not in READERS:
        allowed = ", ".join([*READERS, *TABLES])
        raise ConfigError(f"dataset.source.path={path}: is of an unknown kind. Allowed: {allowed}")
    return READERS[suffix](path)
