"""Keep decoded images on disk, and map them into memory."""

import hashlib
import json
import logging
import math
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from vae_exp.dataset.base import mapped
from vae_exp.dataset.decode import Pixels

log = logging.getLogger(__name__)

PIXELS, INDEX = "pixels.bin", "index.json"
PROBES = 8
"""Files whose bytes are part of the key."""


@dataclass(frozen=True)
class Entry:
    """Decoded images on disk.

    Args:
        folder: Holds the pixels, and an index with the other values.
        shape: (N, C, H, W).
        left_out: The names of the files that cannot be read, each with the reason.
    """

    folder: Path
    shape: tuple[int, int, int, int]
    left_out: Mapping[str, str]

    def pixels(self) -> Tensor:
        """Map the pixels (N, C, H, W), uint8, into memory. They are read when they are used, and never written."""
        return mapped(np.memmap(self.folder / PIXELS, np.uint8, "r", shape=self.shape))


def content_key(root: Path, names: Sequence[str], *settings: object) -> str:
    """Compute a key of files in an order, of their sizes and times, and of settings.

    It does not depend on the place of the root. The bytes of a few files are part of it, because different files may
    have the same names, sizes and times if they were unpacked from archives.

    Args:
        root: The folder of the files.
        names: Their paths relative to it.
        settings: Everything else that the decoded pixels depend on.
    """
    digest = hashlib.sha256(repr(settings).encode())
    for name in names:
        file = root / name
        try:
            status = file.stat()
            line = f"{status.st_size} {status.st_mtime_ns}"
        except OSError as error:  # a link to nothing
            line = str(error.errno)
        digest.update(os.fsencode(name) + b"\0" + line.encode() + b"\0")
    for name in names[:: max(1, len(names) // PROBES)][:PROBES]:
        if (root / name).is_file():  # a pipe would wait for ever
            digest.update(_start(root / name))
    return digest.hexdigest()[:32]


def find(folder: Path) -> Entry | None:
    """Return the entry in a folder; None if there is none or it is damaged."""
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        channels, height, width = (int(size) for size in index["shape"][1:])
        entry = Entry(folder, (int(index["shape"][0]), channels, height, width), dict(index["left_out"]))
        if (folder / PIXELS).stat().st_size != math.prod(entry.shape):
            raise ValueError("the pixels are cut short")
        return entry
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("%s is damaged (%s), and its images are decoded again", folder, error)
        return None


def write(folder: Path, images: Iterable[Pixels], shape: tuple[int, int, int], left_out: Mapping[str, str]) -> Entry:
    """Write an entry. It appears under its name when it is complete.

    Args:
        folder: The folder of the entry. The caller holds its lock.
        images: Images (C, H, W).
        shape: (C, H, W).
        left_out: The names of the files that cannot be read, with the reasons; it may be filled by `images`.

    Raises:
        OSError: The disk is full, or the folder is not writable.
    """
    with _made_whole(folder) as scratch:
        count = 0
        with (scratch / PIXELS).open("wb") as file:
            for image in images:
                file.write(image.tobytes())
                count += 1
            file.flush()
            os.fsync(file.fileno())
        entry = Entry(folder, (count, *shape), left_out)
        index = {"shape": entry.shape, "left_out": dict(left_out)}
        (scratch / INDEX).write_text(json.dumps(index, indent=1), encoding="utf-8")
    return entry


@contextmanager
def _made_whole(folder: Path) -> Iterator[Path]:
    """Provide a scratch folder, which becomes `folder` at the end; what an earlier process left behind is deleted."""
    for left_behind in [*folder.parent.glob(f"{folder.name}-*"), folder]:
        shutil.rmtree(left_behind, ignore_errors=True)
    scratch = folder.with_name(f"{folder.name}-{secrets.token_hex(4)}")
    scratch.mkdir()
    try:
        yield scratch
        scratch.replace(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _start(path: Path) -> bytes:
    """Return the first bytes of a file; none if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(2**16)
    except OSError:
        return b""
