"""Read and write checkpoint files for Lightning."""

import io
import pickle
import re
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO
from torch import Tensor

from vae_exp.config.formats import weights_in_current_format
from vae_exp.errors import RunError
from vae_exp.results.checkpoint import STATE, load_checkpoint_file
from vae_exp.results.checksum import add_checksum
from vae_exp.results.files import replacing


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write each checkpoint completely or not at all, with a checksum, and read only files with the right checksum."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Save a checkpoint."""
        check_states(checkpoint)
        whole = io.BytesIO()  # if torch wrote to the file and the disk were full, its error would not say so
        tensors = {key: checkpoint[key] for key in ("state_dict", "optimizer_states") if key in checkpoint}
        torch.save(checkpoint | _without_neighbours(tensors), whole)
        add_checksum(whole)
        with replacing(Path(path)) as file:
            file.write(whole.getbuffer())

    def load_checkpoint(self, path: str | Path, map_location: Any = "cpu", weights_only: bool | None = True) -> Any:
        """Load a checkpoint that `read_checkpoint` has already checked."""
        checkpoint = load_checkpoint_file(Path(path))[0]
        format_of_file = checkpoint[STATE].get("format", 1)
        return checkpoint | {"state_dict": weights_in_current_format(checkpoint["state_dict"], format_of_file)}


def check_states(checkpoint: dict[str, Any]) -> None:
    """Refuse a checkpoint if a callback adds objects to it that cannot be loaded again: loading runs no code.

    Raises:
        RunError: A state contains other values than numbers, texts, tensors, and lists and dicts of these.
    """
    ours = ("state_dict", "optimizer_states", "callbacks", STATE)
    added = {key: value for key, value in checkpoint.items() if key not in ours} | checkpoint.get("callbacks", {})
    if _unloadable(added) is None:
        return
    key, kind = next((key, kind) for key, value in added.items() if (kind := _unloadable(value)))
    raise RunError(
        f"callbacks: {key} saves a {kind} in its state, which a checkpoint may not hold: numbers, texts, tensors, and "
        "lists and dicts of these"
    )


def _without_neighbours(value: Any) -> Any:
    """Copy tensors that are parts of larger ones, as those of an ensemble's members: the rest would be saved too."""
    if isinstance(value, dict):
        return {key: _without_neighbours(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_without_neighbours(each) for each in value]
    is_plain = isinstance(value, Tensor) and value.layout == torch.strided
    return value.clone() if is_plain and value.untyped_storage().nbytes() > value.nbytes else value


def _unloadable(value: Any) -> str | None:
    """Name the first class in a value that `torch.load` with `weights_only` refuses; None if it refuses none."""
    file = io.BytesIO()
    torch.save(value, file)
    file.seek(0)
    try:
        torch.load(file, weights_only=True)
    except pickle.UnpicklingError as error:
        class_name = re.search(r"GLOBAL (\S+)", str(error))
        return class_name[1] if class_name else "value"
    return None
