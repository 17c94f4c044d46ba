"""A checksum inside a zip archive, such as a checkpoint: one byte more, fewer or other, wherever it is, shows.

It is the archive's comment, so every program that reads zip archives reads these too, `torch.load` among them.
"""

import hashlib
import os
import struct
from typing import BinaryIO

MARK = b"vae_exp sha256 "
DIGEST_BYTES = hashlib.sha256().digest_size
END_SIGNATURE = b"PK\x05\x06"
END_BYTES = 22
"""The last record of an archive without a comment; it closes with the comment's length, two bytes."""
BLOCK_BYTES = 2**20


def add_checksum(file: BinaryIO) -> None:
    """Give an archive the SHA-256 of all that stands before it.

    Args:
        file: The archive, without a comment; open to read and write.
    """
    file.seek(-2, os.SEEK_END)
    file.write(struct.pack("<H", len(MARK) + DIGEST_BYTES) + MARK)
    file.write(_digest(file, file.tell()))


def has_checksum(file: BinaryIO) -> bool:
    """Whether the archive has a checksum, which fits. One without a comment has none.

    Raises:
        ValueError: Its bytes are not those that were written.
    """
    size = file.seek(0, os.SEEK_END)
    if size == 0:
        raise ValueError("it is empty")
    end = _tail(file, size, END_BYTES)
    if end.startswith(END_SIGNATURE) and end.endswith(b"\0\0"):
        return False
    marked = _tail(file, size, len(MARK) + DIGEST_BYTES).startswith(MARK)
    if not marked or _tail(file, size, DIGEST_BYTES) != _digest(file, size - DIGEST_BYTES):
        raise ValueError("its checksum does not fit: bytes are missing, added or changed")
    return True


def _tail(file: BinaryIO, size: int, length: int) -> bytes:
    file.seek(max(0, size - length))
    return file.read()


def _digest(file: BinaryIO, length: int) -> bytes:
    """SHA-256 of the first bytes; afterwards the file stands behind them."""
    file.seek(0)
    digest = hashlib.sha256()
    while length > 0 and (block := file.read(min(length, BLOCK_BYTES))):
        digest.update(block)
        length -= len(block)
    return digest.digest()
