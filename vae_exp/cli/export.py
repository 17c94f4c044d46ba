"""`vae_exp export run=<dir> format=onnx`: write the model of a run as files that other programs load."""

from pathlib import Path
from typing import Literal

from vae_exp.cli.arguments import run_as_command
from vae_exp.results.run_directory import Checkpoint

USAGE = """\
python -m vae_exp export run=<run directory> [format=onnx|torch|safetensors] [output=<folder>]
                         [checkpoint=last|best] [trust=<package>]
"""


def export(
    run: str,
    format: Literal["onnx", "torch", "safetensors"] = "onnx",
    output: str | None = None,
    checkpoint: Checkpoint = "last",
    trust: str | list[str] | None = None,
) -> Path:
    """Write the model of a run into a folder, with its configuration and a model card (`README.md`).

    Args:
        run: The run directory.
        format: `onnx` for ONNX Runtime and others, `torch` for `torch.export.load`, or `safetensors` for the weights
            alone.
        output: The folder. The folder of an earlier export is replaced. The default is `export/<format>` in the run
            directory, or `export/<format>_best`.
        checkpoint: The model that is exported: `last`, which the results belong to, or `best`.
        trust: Packages whose parts the run may use.

    Returns:
        The folder.

    Raises:
        UserError: The run cannot be loaded, the model cannot be exported, or the folder holds something else.
    """
    from vae_exp.results.export.folder import export_run
    from vae_exp.results.load import load_run

    return export_run(load_run(run, checkpoint, trust), checkpoint, format, Path(output) if output else None)


def main() -> None:
    """Run `export` with arguments written key=value."""
    run_as_command(export, USAGE)
