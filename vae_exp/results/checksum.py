"""A checksum inside a zip archive, such as a checkpoint. It detects every changed, added or missing byte.

The checksum is the archive's comment, so `torch.load` and other programs that read zip archives can still read it.
"""

import hashlib
import os
import struct
from typing import BinaryIO

CHECKSUM_MARK = b"vae_exp sha256 "
DIGEST_BYTES = hashlib.sha256().digest_size
END_SIGNATURE = b"PK\x05\x06"
END_BYTES = 22
"""Size of the last record of an archive without a comment. Its last two bytes are the length of the comment."""
BLOCK_BYTES = 2**20


def add_checksum(file: BinaryIO) -> None:
    """Append the SHA-256 of everything before it to an archive, as the archive's comment.

    Args:
        file: The archive, without a comment, opened for reading and writing.
    """
    file.seek(-2, os.SEEK_END)
    file.write(struct.pack("<H", len(CHECKSUM_MARK) + DIGEST_BYTES) + CHECKSUM_MARK)
    file.write(_digest(file, file.tell()))


def has_checksum(file: BinaryIO) -> bool:
    """Verify the checksum of an archive. Return False if the archive has no comment and so no checksum.

    Raises:
        ValueError: The file is empty, or its bytes differ from those that were written.
    """
    size = file.seek(0, os.SEEK_END)
    if size == 0:
        raise ValueError("it is empty")
    end = _tail(file, size, END_BYTES)
    if end.startswith(END_SIGNATURE) and end.endswith(b"\0\0"):
        return False
    marked = _tail(file, size, len(CHECKSUM_MARK) + DIGEST_BYTES).startswith(CHECKSUM_MARK)
    if not marked or _tail(file, size, DIGEST_BYTES) != _digest(file, size - DIGEST_BYTES):
        raise ValueError("its checksum does not fit: bytes are missing, added or changed")
    return True


def _tail(file: BinaryIO, size: int, length: int) -> bytes:
    file.seek(max(0, size - length))
    return file.read()


def _digest(file: BinaryIO, length: int) -> bytes:
    """Compute the SHA-256 of the first `length` bytes. Leave the file position after them."""
    file.seek(0)
    digest = hashlib.sha256()
    while length > 0 and (block := file.read(min(length, BLOCK_BYTES))):
        digest.update(block)
        length -= len(block)
    return digest.digest()
