"""`vae_exp touch run=<dir>`: write a page in which the model of a run can be touched."""

from pathlib import Path

from vae_exp.cli.arguments import run_as_command
from vae_exp.results.run_directory import Checkpoint

USAGE = """\
python -m vae_exp touch run=<directory of a run or a sweep> [output=<file>.html] [checkpoint=last|best]
                        [trust=<package>]

Write model.html: one file with the weights of the model, which computes in the browser. It needs no network or server.
The models of a sweep stand beside each other.
"""


def touch(
    run: str, output: str | None = None, checkpoint: Checkpoint = "last", trust: str | list[str] | None = None
) -> Path:
    """Write a page in which the model of a run can be touched, and link it in the run's report.

    Args:
        run: The directory of a run, or of a sweep, whose models stand beside each other.
        output: The file. An existing file is replaced. The default is `model.html` in the directory, or
            `model_best.html`.
        checkpoint: The model: `last`, which the results belong to, or `best`.
        trust: Packages whose parts the run may use.

    Returns:
        The path of the page.

    Raises:
        UserError: A run cannot be loaded, its model has no decoder or cannot be computed in a page, or the file cannot
            be written.
    """
    from vae_exp.results.load import load_run
    from vae_exp.results.report import try_report
    from vae_exp.results.touch import write_touch

    path = Path(output) if output else Path(run) / f"model{'_best' * (checkpoint == 'best')}.html"
    page = write_touch(Path(run), lambda each: load_run(each, checkpoint, trust), path)
    if path.parent.resolve() == Path(run).resolve():
        try_report(run)
    return page


def main() -> None:
    """Run `touch` with arguments written key=value."""
    run_as_command(touch, USAGE)
