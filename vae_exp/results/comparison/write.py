"""Write the files of a comparison into a folder."""

from pathlib import Path

from vae_exp.errors import ConfigError
from vae_exp.results.comparison.differences import differences
from vae_exp.results.comparison.latex import latex
from vae_exp.results.comparison.page import page_of_comparison
from vae_exp.results.comparison.rows import Comparison
from vae_exp.results.comparison.tables import chosen_metrics, csv_rows, difference_rows, markdown, run_rows
from vae_exp.results.files import write_atomically
from vae_exp.results.tables import csv_text


def write_comparison(comparison: Comparison, metrics: list[str] | None, words: list[str], folder: Path) -> Path:
    """Write `comparison.html`, `.md`, `.tex` and `.csv`, `runs.csv`, and `differences.csv` if there are differences.

    Args:
        comparison: The comparison.
        metrics: The metrics of the tables; None for all of the test split.
        words: The arguments that the user typed, which the page shows.
        folder: The folder. Files of these names in it are replaced.

    Returns:
        The path of `comparison.md`.

    Raises:
        ConfigError: No run has one of the metrics, or the folder cannot be written.
    """
    shown = chosen_metrics(comparison, metrics)
    found = differences(comparison, shown)
    texts = {
        "comparison.csv": csv_text(csv_rows(comparison, shown)),
        "runs.csv": csv_text(run_rows(comparison, shown)),
        "comparison.tex": latex(comparison, shown, found),
        "comparison.html": page_of_comparison(comparison, shown, found, words, folder).html(),
        "comparison.md": markdown(comparison, shown, found),
    }
    if found:
        texts["differences.csv"] = csv_text(difference_rows(found))
    try:
        for name, text in texts.items():
            write_atomically(folder / name, text)
    except OSError as error:
        raise ConfigError(f"output={folder}: cannot be written: {error.strerror}") from error
    return folder / "comparison.md"
