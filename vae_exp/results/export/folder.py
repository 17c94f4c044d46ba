"""The folder of an exported model."""

import json
from importlib.metadata import version
from pathlib import Path

from omegaconf import OmegaConf

from vae_exp.errors import ConfigError
from vae_exp.results.checkpoint import STATE, read_checkpoint
from vae_exp.results.export.card import MARK, Card
from vae_exp.results.export.data import images_of
from vae_exp.results.export.formats import WRITERS
from vae_exp.results.export.functions import functions_of
from vae_exp.results.files import replacing_folder
from vae_exp.results.run import Run
from vae_exp.results.run_directory import RunDirectory

CARD, CONFIG = "README.md", "config.yaml"
"""The files beside those of the model."""


def export_run(run: Run, checkpoint: str, format: str, folder: Path | None = None) -> Path:
    """Write the model of a run into a folder, with its configuration and a model card.

    Args:
        run: The run.
        checkpoint: The checkpoint that its model comes from.
        format: A key of `formats.WRITERS`.
        folder: The folder; by default `export/<format>` or `export/<format>_best` in the run directory.

    Raises:
        ConfigError: The folder holds something else than an export, or it or the model cannot be written.
    """
    path = folder or run.path / "export" / f"{format}{'_best' * (checkpoint == 'best')}"
    _check_replaceable(path)
    state = read_checkpoint(RunDirectory(run.path).checkpoint(checkpoint))[STATE]
    functions = functions_of(run.model, run.standardisation)
    config = OmegaConf.to_yaml(run.config)
    metadata = {"vae_exp": version("vae_exp"), "config": config, "metrics": json.dumps(state["metrics"])}
    try:
        with replacing_folder(path) as part:
            differences = WRITERS[format](functions, run.model, part, metadata)
            (part / CONFIG).write_text(config, encoding="utf-8")
            card = Card(
                run,
                checkpoint,
                state["samples_seen"],
                state["metrics"],
                images_of(run),
                format,
                functions,
                differences,
            )
            (part / CARD).write_text(card.text(), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"output={path}: cannot be written: {error}") from error
    return path


def _check_replaceable(path: Path) -> None:
    """Refuse to replace what is not an export.

    Raises:
        ConfigError: The path is a file, or a folder that holds anything else.
    """
    if not path.exists():
        return
    if not path.is_dir():
        raise ConfigError(f"output={path}: is a file; the name of a folder is needed")
    card = path / CARD
    if any(path.iterdir()) and not (card.is_file() and MARK in card.read_text(encoding="utf-8", errors="replace")):
        raise ConfigError(f"output={path}: holds other files, which would be lost. Name a folder that does not exist")
