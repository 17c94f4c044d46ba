"""`vae_exp compare A B C…`: put runs and sweeps beside each other."""

import sys
import time
from pathlib import Path

from vae_exp.cli.arguments import expanded, run_as_command
from vae_exp.config.trust import Trust, check_directory, trusted_packages
from vae_exp.errors import ConfigError
from vae_exp.results.comparison.rows import compare as compare_paths
from vae_exp.results.comparison.write import write_comparison

USAGE = """\
python -m vae_exp compare <run, sweep, folder or glob> … [metrics=[test/bound,test/kl]] [output=<folder>]
                          [trust=<package>]

Write tables (comparison.csv, .md, .tex), a page with curves and pictures (comparison.html), every run (runs.csv) and
the differences over the seeds (differences.csv). The first of those that can be compared is the baseline.
metrics: the default is every metric of the test split. output: the default is comparisons/<date>_<time>.

  python -m vae_exp compare outputs/mnist_vae/* multirun/mnist_vae/<date>_<time>
  python -m vae_exp compare 'multirun/*/*' metrics=[test/bound,validation/bound] output=paper
"""


def compare(
    runs: list[str],
    metrics: str | list[str] | None = None,
    output: str | None = None,
    trust: str | list[str] | None = None,
) -> Path:
    """Compare runs and sweeps: metrics, curves, pictures, and the differences over the seeds.

    Args:
        runs: Directories of runs or sweeps, folders with runs below, or globs.
        metrics: The metrics to show, such as `test/bound`. By default all of the test split.
        output: The folder to write to. The default is `comparisons/<date>_<time>`.
        trust: Packages whose parts the runs may use.

    Returns:
        The path of `comparison.md`.

    Raises:
        UserError: There is no run in a path, a directory is refused, or no run has a metric.
    """
    paths = expanded(runs)
    for path in paths:
        check_directory(path, Trust(trusted_packages(trust)))
    names = metrics.strip("[]").split(",") if isinstance(metrics, str) else metrics
    folder = Path(output or time.strftime("comparisons/%Y-%m-%d_%H-%M-%S"))
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"output={folder}: is a file; a folder is needed")
    return write_comparison(compare_paths(paths), names, sys.argv[1:], folder)


def main() -> None:
    """Run `compare` with the paths and the arguments key=value of the command line."""
    if len(sys.argv) < 2:
        print(USAGE)
        sys.exit(1)
    run_as_command(compare, USAGE, _show, paths="runs")


def _show(path: Path) -> None:
    print(path.read_text(encoding="utf-8"))
    for name in ("comparison.html", "comparison.csv", "comparison.tex"):
        print(path.with_name(name))
