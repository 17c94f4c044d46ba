"""Checkpoint files for Lightning: written whole or not at all, with a checksum."""

import io
import pickle
import re
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from vae_exp.config.formats import renamed_weights
from vae_exp.errors import RunError
from vae_exp.results.checkpoint import STATE, loaded
from vae_exp.results.checksum import add_checksum
from vae_exp.results.files import replacing


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write whole checkpoints or none, and read those alone that are as they were written."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Save a checkpoint."""
        check_states(checkpoint)
        whole = io.BytesIO()  # writing to a file that cannot grow, torch does not say why
        torch.save(checkpoint, whole)
        add_checksum(whole)
        with replacing(Path(path)) as file:
            file.write(whole.getbuffer())

    def load_checkpoint(self, path: str | Path, map_location: Any = "cpu", weights_only: bool | None = True) -> Any:
        """Load a checkpoint that `read_checkpoint` has checked before."""
        checkpoint = loaded(Path(path))[0]
        written_in = checkpoint[STATE].get("format", 1)
        return checkpoint | {"state_dict": renamed_weights(checkpoint["state_dict"], written_in)}


def check_states(checkpoint: dict[str, Any]) -> None:
    """Refuse what a callback adds to a checkpoint if it could not be loaded again, which runs no code.

    Raises:
        RunError: It holds something else than numbers, texts, tensors, and lists and dicts of these.
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


def _unloadable(value: Any) -> str | None:
    """The first class in a value that loading without code does not know."""
    file = io.BytesIO()
    torch.save(value, file)
    file.seek(0)
    try:
        torch.load(file, weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL (\S+)", str(error))
        return found[1] if found else "value"
    return None
