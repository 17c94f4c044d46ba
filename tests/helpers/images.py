"""Image files that tests write, and Frey Face where it is at hand."""

import os
import struct
from pathlib import Path

import pytest
import torch
from PIL import Image

FREY_FACE = Path(os.environ.get("VAE_EXP_DATA", "data")).absolute()
needs_frey_face = pytest.mark.skipif(
    not (FREY_FACE / "frey_rawface.mat").exists(),
    reason="frey_rawface.mat may not be redistributed: set VAE_EXP_DATA to the folder that holds it",
)


def write_image(path: Path, pixels: torch.Tensor) -> None:
    """A grey image file (H, W)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.to(torch.uint8).numpy()).save(path)


def write_idx(path: Path, values: torch.Tensor) -> None:
    """An IDX file of unsigned bytes, as torchvision reads it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = bytes([0, 0, 8, values.ndim]) + b"".join(struct.pack(">I", size) for size in values.shape)
    path.write_bytes(header + values.to(torch.uint8).numpy().tobytes())
