"""`report.html`: a run's or a sweep's directory as one page that needs no network, account or server."""

import logging
from pathlib import Path

from vae_exp.errors import RunError
from vae_exp.jobs import MARKS, read_jobs
from vae_exp.report.run import page_of_run
from vae_exp.report.sweep import page_of_sweep
from vae_exp.results.files import write_atomically
from vae_exp.run_directory import hint

log = logging.getLogger(__name__)


def write_report(path: str | Path) -> Path:
    """Write the `report.html` of a run or a sweep, of whatever is there; with a sweep's those that its jobs lack.

    Returns:
        The page.

    Raises:
        RunError: It is the directory of neither.
    """
    path = Path(path)
    if any((path / mark).exists() for mark in MARKS):
        page = page_of_run(path)
    else:
        try:
            jobs = read_jobs(path)
        except RunError as error:
            raise RunError(f"{path}: is the directory of neither a run nor a sweep{hint(path)}") from error
        for job in jobs:
            if not job.has_report or job.results["status"] in ("killed", "running"):
                try_report(job.path)
        page = page_of_sweep(path, jobs)
    write_atomically(path / "report.html", page.html())
    return path / "report.html"


def try_report(path: str | Path) -> None:
    """The same where nothing may fail because of it."""
    try:
        write_report(path)
    except Exception as error:
        log.warning("The report of %s could not be written: %s", path, error)
