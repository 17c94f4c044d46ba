"""Checkpoint files: written whole or not at all, read without unpickling code."""

import io
import os
import pickle
import re
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.plugins.io import TorchCheckpointIO

from vae_exp.errors import RunError
from vae_exp.experiment import STATE

# what a resumed run may change: none of it touches the numbers of the images it has seen
FREE = ("samples", "resume", "start_from", "paths", "trainer", "callbacks", "logger", "name", "dataset.source.root")


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write beside the final place, flush to the disk, rename: a kill leaves the old file or the new one."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Save a checkpoint."""
        check_states(checkpoint)
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = io.BytesIO()  # writing to a file that cannot grow, torch does not say why
        torch.save(checkpoint, whole)
        part = path.with_name(f"{path.name}.part")
        try:
            with part.open("wb") as file:
                file.write(whole.getbuffer())
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


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


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint of this project, its tensors on the CPU.

    Raises:
        RunError: There is none, it cannot be read, or another program made it.
    """
    if not path.exists():
        raise RunError(f"{path}: there is no checkpoint to go on from")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise RunError(f"{path}: is damaged or not a checkpoint ({str(error).splitlines()[0]})") from error
    if not isinstance(checkpoint, dict) or STATE not in checkpoint or "state_dict" not in checkpoint:
        raise RunError(f"{path}: is a checkpoint of another program: it has no {STATE!r} entry")
    return checkpoint


def check_same_config(checkpoint: dict[str, Any], config: DictConfig, path: Path) -> None:
    """Refuse to go on with another configuration than the checkpoint's.

    Raises:
        RunError: They differ in something that the numbers depend on.
    """
    theirs, ours = flat(OmegaConf.create(checkpoint[STATE]["config"])), flat(config)
    for key in sorted(theirs.keys() | ours.keys()):
        if key.startswith(FREE) or theirs.get(key) == ours.get(key):
            continue
        raise RunError(
            f"{key}: is {theirs.get(key)} in {path} and {ours.get(key)} here; "
            "a run goes on as it began (only samples, paths, trainer, callbacks and logger may change)"
        )


def flat(config: DictConfig) -> dict[str, Any]:
    """Every value of a config under its key on the command line; lists stay lists."""
    values: dict[str, Any] = {}

    def visit(node: Any, path: str) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                visit(value, f"{path}.{key}" if path else str(key))
        else:
            values[path] = node

    visit(OmegaConf.to_container(config, resolve=True), "")
    return values
