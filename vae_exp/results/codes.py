"""Write the codes of a split's images to a file that other programs read."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from vae_exp.errors import ConfigError, nearest_first, needs_extra
from vae_exp.evaluation.codes import Codes

Columns = dict[str, npt.NDArray[Any]]
"""Arrays whose rows belong to the same images, by name."""


def check_codes_path(path: Path) -> None:
    """Check, before anything is encoded, that codes can be written to a file of this name.

    Raises:
        ConfigError: The suffix is unknown, the path is a folder, or `.parquet` needs packages that are not installed.
    """
    if path.is_dir():
        raise ConfigError(f"output={path}: is a folder; the name of a file is needed")
    if path.suffix.lower() not in WRITERS:
        allowed = nearest_first(path.suffix.lower(), WRITERS)
        raise ConfigError(
            f"output={path}: is of an unknown kind. Did you mean {path.with_suffix(allowed[0]).name}? "
            f"Allowed: {', '.join(allowed)}"
        )
    if path.suffix.lower() == ".parquet":
        _parquet(path)


def write_codes(file: BinaryIO, path: Path, codes: Codes, class_names: tuple[str, ...]) -> None:
    """Write codes, with `index`, the position of each image in its split.

    An .npz file has the arrays `index` (N,), `code` (N, latent_dim), `log_variance` (N, latent_dim) for a random code,
    `label` (N,) and `class_names` if the data has labels, and `predicted` (N,) for a classifier. A table has the same,
    with a column for every latent: `code_0`, `code_1`, …, `log_variance_0`, …, and without the names of the classes.

    Args:
        file: The open file.
        path: Its name, whose suffix decides the format (`check_codes_path`).
        codes: The codes.
        class_names: The names of the classes, in the order of the labels; empty if the data has no labels.
    """
    columns = {"index": np.arange(len(codes.code))}
    if class_names:
        columns["label"] = codes.label.numpy()
    if codes.predicted is not None:
        columns["predicted"] = codes.predicted.numpy()
    columns["code"] = codes.code.numpy()
    if codes.log_variance is not None:
        columns["log_variance"] = codes.log_variance.numpy()
    WRITERS[path.suffix.lower()](file, columns, class_names)


def _write_npz(file: BinaryIO, columns: Columns, class_names: tuple[str, ...]) -> None:
    named: Columns = {"class_names": np.array(class_names)} if class_names else {}
    np.savez(file, allow_pickle=False, **columns, **named)


def _write_csv(file: BinaryIO, columns: Columns, class_names: tuple[str, ...]) -> None:
    table = _table(columns)
    # nine digits give every float32 back exactly
    formats = ["%.9g" if column.dtype.kind == "f" else "%d" for column in table.values()]
    rows = np.column_stack([column.astype(np.float64) for column in table.values()])
    np.savetxt(file, rows, formats, delimiter=",", header=",".join(table), comments="")


def _write_parquet(file: BinaryIO, columns: Columns, class_names: tuple[str, ...]) -> None:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table(_table(columns)), file)


def _table(columns: Columns) -> Columns:
    """Divide every array (N, D) into D columns with numbered names."""
    table: Columns = {}
    for name, column in columns.items():
        if column.ndim == 1:
            table[name] = column
        else:
            table |= {f"{name}_{i}": np.ascontiguousarray(values) for i, values in enumerate(column.T)}
    return table


def _parquet(path: Path) -> None:
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise ConfigError(needs_extra(f"output={path}", "parquet")) from error


WRITERS: dict[str, Callable[[BinaryIO, Columns, tuple[str, ...]], None]] = {
    ".npz": _write_npz,
    ".csv": _write_csv,
    ".parquet": _write_parquet,
}
"""The writers by suffix."""
