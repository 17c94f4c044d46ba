"""Read checkpoint files. A damaged file is refused, and loading never runs code from a pickle."""

import logging
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from vae_exp.config.flatten import flat
from vae_exp.config.formats import FORMAT, weights_in_current_format
from vae_exp.config.stored import config_of_values, parse_yaml, printable
from vae_exp.errors import RunError
from vae_exp.results.checksum import has_checksum

log = logging.getLogger(__name__)

STATE = "vae_exp"
"""The key of this project's own entry in a checkpoint."""

# config keys that a resumed run may change: none of them affects what the run has computed so far
RESUME_MAY_CHANGE = (
    "samples",
    "resume",
    "trust",
    "start_from",
    "paths",
    "trainer",
    "callbacks",
    "logger",
    "name",
    "touch",
    "dataset.placement",
    "dataset.source.root",
    "dataset.source.path",
    "dataset.source.cache",
)


ENTRIES: dict[str, type] = {"config": str, "metrics": dict, "samples_seen": int, "seconds": float, "steps": int}
ENTRIES |= {"generator": torch.Tensor}
"""The entries of a checkpoint, and their types, that a run needs in addition to the weights to be resumed."""


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of this project, with its tensors on the CPU.

    Raises:
        RunError: The file does not exist, is damaged, or was written by another program or by a later version.
    """
    if not path.exists():
        raise RunError(f"{path}: is missing, so there is no checkpoint to resume from")
    checkpoint, checked = load_checkpoint_file(path)
    if not isinstance(checkpoint, dict) or not all(isinstance(checkpoint.get(k), dict) for k in (STATE, "state_dict")):
        raise RunError(f"{path}: is a checkpoint of another program: it has no {STATE!r} entry")
    for name, kind in ENTRIES.items():
        if not isinstance(checkpoint[STATE].get(name), kind):
            raise RunError(f"{path}: is damaged or not a checkpoint (its {name} is missing or of another kind)")
    written_in = checkpoint[STATE].get("format", 1)
    if not isinstance(written_in, int) or written_in > FORMAT:
        raise RunError(
            f"{path}: has format {printable(written_in)}, which a later version of vae_exp writes; "
            f"this version reads formats up to {FORMAT}"
        )
    checkpoint["state_dict"] = weights_in_current_format(checkpoint["state_dict"], written_in)
    if not checked:
        log.warning("%s: has no checksum because an earlier version wrote it: damage to it cannot be detected", path)
    return checkpoint


def load_checkpoint_file(path: Path) -> tuple[Any, bool]:
    """Load a checkpoint file. Return its content and whether the file has a checksum.

    Raises:
        RunError: The file is damaged, or loading it would run code.
    """
    try:
        with path.open("rb") as file:
            checked = has_checksum(file)
            # torch never compresses a checkpoint, and a small compressed file can unpack to more than the memory
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in zipfile.ZipFile(file).infolist()):
                raise ValueError("it is compressed")
            file.seek(0)
            return torch.load(file, map_location="cpu", weights_only=True), checked
    except Exception as error:  # on damaged bytes torch can raise any exception
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise RunError(f"{path}: is damaged or not a checkpoint ({reason})") from error


def check_weights(weights: Mapping[str, Any], model: torch.nn.Module, path: Path) -> None:
    """Refuse weights that do not belong to a model.

    Raises:
        RunError: A weight is missing, is not in the model, or has another size than in the model.
    """
    ours = model.state_dict()
    for name in sorted(ours.keys() ^ weights.keys(), key=str):
        fault = "is missing" if name in ours else "is not in the model"
        raise RunError(f"{path}: does not fit the run's config: {printable(name)} {fault}")
    for name, value in ours.items():
        if isinstance(value, torch.Tensor) and _size(weights[name]) != _size(value):
            sizes = f"{_size(weights[name])} there and {_size(value)} by the config"
            raise RunError(f"{path}: does not fit the run's config: {name} is {sizes}")


def _size(value: Any) -> str:
    """Format the shape of a tensor for a message."""
    dense = isinstance(value, torch.Tensor) and value.layout == torch.strided
    return str([*value.shape]) if dense else "no dense tensor"


def check_same_config(checkpoint: dict[str, Any], config: DictConfig, path: Path) -> None:
    """Refuse to resume with a config that differs from the checkpoint's.

    Raises:
        RunError: The configs differ in a key that the results depend on.
    """
    theirs, ours = flat(config_of_values(parse_yaml(checkpoint[STATE]["config"], path), path)), flat(config)
    for key in sorted(theirs.keys() | ours.keys()):
        if key.startswith(RESUME_MAY_CHANGE) or theirs.get(key) == ours.get(key):
            continue
        raise RunError(
            f"{key}: is {theirs.get(key)} in {path} and {ours.get(key)} here; "
            "a resumed run keeps its config (only samples, paths, trainer, callbacks, logger and touch may change)"
        )
