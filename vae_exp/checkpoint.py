"""Checkpoint files: written whole or not at all, with a checksum; read without unpickling code."""

import io
import logging
import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.plugins.io import TorchCheckpointIO

from vae_exp.config.stored import parse, printable, resolved
from vae_exp.errors import RunError
from vae_exp.experiment import STATE
from vae_exp.results.checksum import add_checksum, has_checksum
from vae_exp.results.files import replacing

log = logging.getLogger(__name__)

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


ENTRIES: dict[str, type] = {"config": str, "metrics": dict, "samples_seen": int, "seconds": float, "steps": int}
ENTRIES |= {"generator": torch.Tensor}
"""The entries, beside the weights, that a run needs to go on."""


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
        """Load a checkpoint that `read_checkpoint` has looked at before, and warned of where it has no checksum."""
        return _loaded(Path(path))[0]


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
        RunError: There is none, its bytes are not those that were written, or another program made it.
    """
    if not path.exists():
        raise RunError(f"{path}: there is no checkpoint to go on from")
    checkpoint, checked = _loaded(path)
    if not isinstance(checkpoint, dict) or not all(isinstance(checkpoint.get(k), dict) for k in (STATE, "state_dict")):
        raise RunError(f"{path}: is a checkpoint of another program: it has no {STATE!r} entry")
    for name, kind in ENTRIES.items():
        if not isinstance(checkpoint[STATE].get(name), kind):
            raise RunError(f"{path}: is damaged or not a checkpoint (its {name} is missing or of another kind)")
    if not checked:
        log.warning("%s: has no checksum, an earlier version wrote it: damage to it would not be noticed", path)
    return checkpoint


def _loaded(path: Path) -> tuple[Any, bool]:
    """What is in a file, and whether it has a checksum."""
    try:
        with path.open("rb") as file:
            checked = has_checksum(file)
            # torch never compresses, and a small file that is compressed can fill the memory
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in zipfile.ZipFile(file).infolist()):
                raise ValueError("it is compressed")
            file.seek(0)
            return torch.load(file, map_location="cpu", weights_only=True), checked
    except Exception as error:  # damaged bytes can make torch raise anything
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise RunError(f"{path}: is damaged or not a checkpoint ({reason})") from error


def check_weights(weights: Mapping[str, Any], model: torch.nn.Module, path: Path) -> None:
    """Refuse weights that are not those of a model.

    Raises:
        RunError: One is missing, is not the model's, or has another size.
    """
    ours = model.state_dict()
    for name in sorted(ours.keys() ^ weights.keys(), key=str):
        fault = "misses" if name in ours else "has too much"
        raise RunError(f"{path}: does not fit the run's config: {printable(name)} is what it {fault}")
    for name, value in ours.items():
        if isinstance(value, torch.Tensor) and _size(weights[name]) != _size(value):
            sizes = f"{_size(weights[name])} there and {_size(value)} by the config"
            raise RunError(f"{path}: does not fit the run's config: {name} is {sizes}")


def _size(value: Any) -> str:
    """The sizes of a tensor, in words."""
    dense = isinstance(value, torch.Tensor) and value.layout == torch.strided
    return str([*value.shape]) if dense else "no dense tensor"


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
