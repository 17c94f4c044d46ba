"""The folders of a sweep's jobs, and the values that were drawn or proposed for each job."""

import os
from collections.abc import Collection, Mapping
from pathlib import Path

from vae_exp.config.replay import check_replayed
from vae_exp.config.trust import Trust
from vae_exp.errors import ConfigError
from vae_exp.results.files import read_json, reporting_read_errors

Values = dict[str, str]
"""A job's values of the keys that vary: key → value, as text in override syntax."""


def check_apart(jobs: Mapping[int, Path], sweep: Path, subdir: str) -> None:
    """Check that every job has its own folder, which is inside the sweep's folder and not inside another job's.

    Args:
        jobs: Each job's folder, by its number.
        sweep: The sweep's folder.
        subdir: The text of `hydra.sweep.subdir`, not resolved.

    Raises:
        ConfigError: Two jobs would share a folder, or a job's folder is inside another job's or outside the sweep's.
    """
    owner: dict[Path, int] = {}
    for number, path in jobs.items():
        folder = Path(os.path.normpath(path))
        if Path(os.path.normpath(sweep)) not in folder.parents:
            raise ConfigError(f"hydra.sweep.subdir={subdir}: {folder} is no folder in {sweep}")
        if folder in owner:
            raise ConfigError(shared_folder_message(subdir, f"jobs {owner[folder]} and {number} would share {folder}"))
        owner[folder] = number
    for folder, number in owner.items():
        for outer in owner.keys() & set(folder.parents):
            raise ConfigError(
                shared_folder_message(subdir, f"job {number} would be inside job {owner[outer]}, in {folder}")
            )


def shared_folder_message(subdir: str, fault: str) -> str:
    """Return the message for jobs that do not have folders of their own."""
    return f"hydra.sweep.subdir={subdir}: {fault}. Add the job's number: hydra.sweep.subdir={subdir}_${{hydra.job.num}}"


def read_values(path: Path, keys: Collection[str], trust: Trust) -> list[Values]:
    """Read every job's values of the keys that vary in a sweep.

    Args:
        path: The file.
        keys: The keys that vary.
        trust: Which `_target_`s the values may name.

    Raises:
        RunError: The file is missing, truncated or has other keys, or a value is refused because it does more than set
            its key.
    """
    jobs = read_json(path, list)
    with reporting_read_errors(path):
        if not all(isinstance(job, dict) and job.keys() == set(keys) for job in jobs):
            raise ValueError(f"every job should have {', '.join(keys) or 'nothing'}")
        if not all(isinstance(value, str) for job in jobs for value in job.values()):
            raise ValueError("every value should be text")
    check_replayed([f"{key}={value}" for job in jobs for key, value in job.items()], trust, str(path))
    return jobs
