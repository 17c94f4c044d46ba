"""Checkpoint files: written whole or not at all, read without unpickling code."""

import os
import pickle
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.plugins.io import TorchCheckpointIO

from vae_exp.config.stored import parse, resolved
from vae_exp.errors import RunError
from vae_exp.experiment import STATE

# what a resumed run may change: none of it touches the numbers of the images it has seen
FREE = (
    "samples",
    "resume",
    "trust",
    "start_from",
    "paths",
    "trainer",
    "callbacks",
    "logger",
    "name",
    "dataset.source.root",
)


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write beside the final place, flush to the disk, rename: a kill leaves the old file or the new one."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Save a checkpoint."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.part")
        with part.open("wb") as file:
            torch.save(checkpoint, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)


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
    if not isinstance(checkpoint, dict) or not all(isinstance(checkpoint.get(k), dict) for k in (STATE, "state_dict")):
        raise RunError(f"{path}: is a checkpoint of another program: it has no {STATE!r} entry")
    return checkpoint


def check_same_config(checkpoint: dict[str, Any], config: DictConfig, path: Path) -> None:
    """Refuse to go on with another configuration than the checkpoint's.

    Raises:
        RunError: They differ in something that the numbers depend on.
    """
    theirs, ours = flat(resolved(parse(checkpoint[STATE]["config"], path), path)), flat(config)
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
