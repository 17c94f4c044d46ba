"""Tables, .csv and .parquet. A table is a file with the arrays `x`, its columns of numbers, and `y`, its labels."""

import csv
import itertools
import warnings
from abc import abstractmethod
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from vae_exp.dataset.array_files import Array, ArrayFile, Header, readable
from vae_exp.errors import ConfigError, DataError, nearest_first, needs_extra

ROWS, LABELS = "x", "y"
DELIMITERS = ",;\t"


class Table(ArrayFile):
    """A table whose columns have names.

    Args:
        path: The file.
        label_column: The name or the position (0 is the first, −1 the last) of the column with the labels; None if
            there are no labels.
        header: Whether the first line of a CSV file names the columns; None finds out.
    """

    def __init__(self, path: Path, label_column: str | int | None, header: bool | None) -> None:
        super().__init__(path)
        self.label_column = label_column
        self.header = header

    @property
    @abstractmethod
    def columns(self) -> list[str]:
        """The names of all columns."""

    @cached_property
    def label(self) -> int | None:
        """The position of the column with the labels.

        Raises:
            ConfigError: There is no such column.
        """
        wanted, names = self.label_column, self.columns
        if wanted is None:
            return None
        if str(wanted) in names:
            return names.index(str(wanted))
        if isinstance(wanted, int) and -len(names) <= wanted < len(names):
            return wanted % len(names)
        ordered = nearest_first(str(wanted), names)
        raise ConfigError(
            f"dataset.source.label_column={wanted}: {self.path.name} has no such column. Did you mean {ordered[0]}? "
            f"It has {shortened(names)}"
        )

    @property
    def numbers(self) -> list[int]:
        """The positions of the columns with the values."""
        return [i for i in range(len(self.columns)) if i != self.label]

    def _headers(self, rows: int | None, dtype: np.dtype[Any]) -> dict[str, Header]:
        labels = {} if self.label is None else {LABELS: Header(rows, (), np.dtype(str))}
        return {ROWS: Header(rows, (len(self.numbers),), dtype)} | labels


class Csv(Table):
    """Comma-separated values (or semicolons, or tabs), in UTF-8. Fields may be quoted."""

    @cached_property
    def _first(self) -> list[str]:
        """The fields of the first line."""
        with readable(self.path), self.path.open(encoding="utf-8-sig", newline="") as file:
            fields = next(csv.reader(file, delimiter=self._delimiter), [])
        if not fields:
            raise DataError(f"{self.path}: is empty")
        return fields

    @cached_property
    def _delimiter(self) -> str:
        with readable(self.path), self.path.open(encoding="utf-8-sig", newline="") as file:
            return max(DELIMITERS, key=file.readline().count)

    @cached_property
    def _has_header(self) -> bool:
        """Whether the first line names the columns: all its fields are texts, or only the one that names the labels.

        Raises:
            ConfigError: The first line may be names or values.
        """
        if self.header is not None:
            return self.header
        fields = [field.strip() for field in self._first]
        texts = [i for i, field in enumerate(fields) if not _is_number(field)]
        numbers = [field for field in fields if _is_number(field)]
        if len(texts) == len(fields) or [fields[i] for i in texts] == [self.label_column]:
            return True
        counts = len(numbers) > 2 and numbers == [str(i) for i in range(len(numbers))]
        label = isinstance(self.label_column, int) and texts == [self.label_column % len(fields)]
        if counts or (texts and not label):
            raise ConfigError(
                f"dataset.source.header: the first line of {self.path.name} ({shortened(fields, 4)}) may be names or "
                "values. Allowed: header=true or header=false"
            )
        return False

    @cached_property
    def columns(self) -> list[str]:
        """The names in the header, or positions if there is no header."""
        if not self._has_header:
            return [str(i) for i in range(len(self._first))]
        names = [name.strip() for name in self._first]
        if "" in names:
            raise DataError(
                f"{self.path}: the header has no name for column {names.index('')}. Is it an index? Leave it out "
                "(pandas: to_csv(index=False))"
            )
        return names

    def headers(self) -> dict[str, Header]:
        """Read the first line. It does not say how many rows there are."""
        return self._headers(None, np.dtype(np.float64))

    def read(self, name: str) -> Array:
        """Return the numbers (N, D), or the labels (N,) as texts."""
        return self._arrays[name]

    @cached_property
    def _arrays(self) -> dict[str, Array]:
        """Read the file once. NumPy's reader is fast, and refuses lines with more or fewer fields than the others."""
        numbers: dict[str, int] = {}  # of the texts in the column of the labels
        converters: dict[int | str, Callable[[str], Any]] = {}
        if self.label is not None:
            converters[self.label] = lambda text: numbers.setdefault(text, len(numbers))
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".*input contained no data.*")  # refused later, as any file
                rows: Array = np.loadtxt(
                    self.path,
                    comments=None,
                    delimiter=self._delimiter,
                    quotechar='"',
                    converters=converters,
                    skiprows=int(self._has_header),
                    ndmin=2,
                    encoding="utf-8-sig",
                )
        except (ValueError, IndexError) as error:
            self._explain()
            raise DataError(f"{self.path}: cannot be read ({error})") from error
        if not rows.size:
            raise DataError(f"{self.path}: has no rows: it is empty")
        if rows.shape[1] != len(self.columns):
            self._explain()
        if self.label is None:
            return {ROWS: rows}
        texts = np.array([*numbers])
        return {ROWS: rows[:, self.numbers], LABELS: texts[rows[:, self.label].astype(np.int64)]}

    def _explain(self) -> None:
        """Raise an error for the first line that is not as the first one.

        Raises:
            DataError: A line has another number of fields, a field is empty, or it is no number.
        """
        with readable(self.path), self.path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, delimiter=self._delimiter)
            for fields in itertools.islice(lines, int(self._has_header), None):
                where = f"{self.path}: line {lines.line_num}"
                if fields and len(fields) != len(self.columns):
                    raise DataError(f"{where} has {len(fields)} fields, and the first line has {len(self.columns)}")
                for i in self.numbers if fields else ():
                    if not fields[i].strip():
                        raise DataError(f"{where}: column {self.columns[i]} is empty. Fill it or leave the row out")
                    if not _is_number(fields[i]):
                        raise DataError(
                            f"{where}: column {self.columns[i]} is {fields[i]!r}, which is no number. Only the column "
                            "that dataset.source.label_column names may hold text"
                        )


class Parquet(Table):
    """A table in Parquet's format."""

    @cached_property
    def _schema(self) -> Any:
        with readable(self.path):
            return _parquet(self.path).read_schema(self.path)

    @cached_property
    def columns(self) -> list[str]:
        """The names of the columns, without an index that pandas added."""
        return [name for name in self._schema.names if not name.startswith("__index_level_")]

    def headers(self) -> dict[str, Header]:
        """Read the metadata of the file.

        Raises:
            DataError: A column that is not the label holds something other than numbers.
        """
        with readable(self.path):
            rows = _parquet(self.path).read_metadata(self.path).num_rows
        types = {self._dtype(self.columns[i]) for i in self.numbers}
        # as in a CSV file, integers are numbers; only bytes can be meant as levels
        return self._headers(rows, np.dtype(np.uint8 if types == {np.dtype(np.uint8)} else np.float64))

    def read(self, name: str) -> Array:
        """Read the numbers (N, D), or the labels (N,)."""
        wanted = self.numbers if name == ROWS else [self.label]
        dtype = self.headers()[ROWS].dtype
        with readable(self.path):
            table = _parquet(self.path).read_table(
                self.path, columns=[self.columns[i] for i in wanted if i is not None]
            )
            columns = [column.to_numpy(zero_copy_only=False) for column in table.columns]
        if name == LABELS:
            return np.array(["" if value is None else value for value in columns[0].tolist()])
        # a column with missing values comes as floats with NaN
        return np.stack(columns, 1).astype(np.result_type(dtype, *columns), copy=False)

    def _dtype(self, name: str) -> np.dtype[Any]:
        kind = self._schema.field(name).type
        try:
            dtype: np.dtype[Any] = np.dtype(kind.to_pandas_dtype())
        except (NotImplementedError, TypeError):
            dtype = np.dtype(object)
        if dtype.kind not in "biuf":
            raise DataError(
                f"{self.path}: column {name} holds {kind}, not numbers. Only the column that "
                "dataset.source.label_column names may hold text"
            )
        return dtype


def shortened(names: list[str], most: int = 20) -> str:
    """Join names for a message; leave out those after the first ones."""
    return ", ".join(names[:most]) + (f", … ({len(names)} in all)" if len(names) > most else "")


def _parquet(path: Path) -> Any:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise DataError(needs_extra(f"dataset.source.path={path}", "parquet")) from error
    return parquet


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


TABLES: dict[str, type[Table]] = {".csv": Csv, ".parquet": Parquet}
"""The readers of tables by suffix."""
