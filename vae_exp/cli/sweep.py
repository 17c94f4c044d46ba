"""Write and print the table of a sweep when the sweep ends."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from itertools import islice
from pathlib import Path

from hydra.core.utils import JobReturn

from vae_exp.config.stored import read_config
from vae_exp.errors import RunError
from vae_exp.results.files import read_or_warn
from vae_exp.results.jobs import read_jobs
from vae_exp.results.run_directory import RunDirectory
from vae_exp.results.sweep import write_sweep
from vae_exp.results.tables import rows

log = logging.getLogger(__name__)


@contextmanager
def report_at_end(path: Path) -> Iterator[None]:
    """Write the table and the pictures of a sweep after the `with` block, even if the block fails."""
    try:
        yield
    finally:
        try:
            page = write_sweep(path)
            print(f"\n{page.read_text(encoding='utf-8')}\nAll of it in {page.parent}")
            _log(path)
        except RunError as error:  # no job has begun
            log.debug("%s", error)
        except Exception as error:  # must not replace the error that ended the sweep
            log.error("The table of %s could not be made: %s", path, error)


def failure(job: JobReturn) -> BaseException:
    """Return the error of a job that did not complete, without the line that Hydra prints before it.

    Raises:
        ValueError: The job completed.
    """
    try:
        with redirect_stderr(StringIO()):
            _ = job.return_value
    except BaseException as error:  # a job that was interrupted has a KeyboardInterrupt
        return error
    raise ValueError("the job completed")


def _log(path: Path) -> None:
    """Send the table and the pictures to the loggers of the jobs."""
    from vae_exp.training.loggers.wandb import log_sweep  # imports torch

    jobs = read_jobs(path)
    recorded = [RunDirectory(job.path).config for job in jobs]
    configs = (config for file in recorded if file.exists() and (config := read_or_warn(read_config, file)))
    for config in islice(configs, 1):
        try:
            log_sweep(path, config, rows(jobs), sorted(path.glob("*.png")))
        except Exception as error:  # the sweep's own files are already written
            log.error("The table of %s could not be logged: %s", path, error)
