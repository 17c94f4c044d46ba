"""Write `report.html`: one page that shows a run or a sweep. It needs no network, account or server."""

import logging
from pathlib import Path

from vae_exp.errors import RunError
from vae_exp.results.files import write_atomically
from vae_exp.results.jobs import holds_a_run, read_jobs
from vae_exp.results.report.run import page_of_run
from vae_exp.results.report.sweep import page_of_sweep
from vae_exp.results.run_directory import path_hint

log = logging.getLogger(__name__)


def write_report(path: str | Path) -> Path:
    """Write the `report.html` of a run or a sweep from the files present. For a sweep, also write missing job reports.

    Returns:
        The path of the page.

    Raises:
        RunError: The path is neither a run directory nor a sweep directory.
    """
    path = Path(path)
    if holds_a_run(path):
        page = page_of_run(path)
    else:
        try:
            jobs = read_jobs(path)
        except RunError as error:
            raise RunError(f"{path}: is the directory of neither a run nor a sweep{path_hint(path)}") from error
        for job in jobs:
            if not job.has_report or job.results["status"] in ("killed", "running"):
                try_report(job.path)
        page = page_of_sweep(path, jobs)
    write_atomically(path / "report.html", page.html())
    return path / "report.html"


def try_report(path: str | Path) -> None:
    """Write the report. Log a warning instead of raising an error."""
    try:
        write_report(path)
    except Exception as error:
        log.warning("The report of %s could not be written: %s", path, error)
