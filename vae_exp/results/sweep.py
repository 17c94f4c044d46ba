"""Write the tables, the pictures and the report of a sweep into its directory.

`sweep.csv` has one row per job. `sweep.md` shows the means over the seeds and the paper's values. `figure2.png` shows
the curves (`figure3.png` if log p(x) was estimated). For a search, `search.png` shows the settings that it tried. The
jobs' own pictures are put side by side. `report.html` shows all of this.
"""

from pathlib import Path

from vae_exp.results.curves import pictures
from vae_exp.results.files import replacing, write_atomically
from vae_exp.results.jobs import read_jobs
from vae_exp.results.report import try_report
from vae_exp.results.tables import csv_text, markdown, rows


def write_sweep(path: str | Path) -> Path:
    """Write `sweep.csv`, `sweep.md`, the pictures and `report.html` into a sweep's directory.

    Returns:
        The path of `sweep.md`.

    Raises:
        RunError: The directory contains no run.
    """
    path, jobs = Path(path), read_jobs(path)
    write_atomically(path / "sweep.csv", csv_text(rows(jobs)))
    write_atomically(path / "sweep.md", markdown(path, jobs))
    for name, figure in pictures(path, jobs):
        with replacing(path / name) as file:
            figure.savefig(file, dpi=150, bbox_inches="tight")
    try_report(path)
    return path / "sweep.md"
